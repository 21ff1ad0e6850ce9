// DiffExp with two methods: training rollouts start with low guidance and emphasize a random word of each prompt. It is
// one more policy in the list.
// Usage: 06_diffexp [UPDATES [MODEL_FOLDER]]
#include <reward_tuner/reward_tuner.hpp>
#include <reward_tuner/run/prompt_set.hpp>

#include <cstdlib>
#include <iostream>

namespace rt = reward_tuner;

template <class Tuner>
void run(Tuner tuner, const char* name, int updates, const char* folder) {
  auto pipeline = rt::StableDiffusion::load(folder);
  auto lora = rt::Lora::attach(pipeline.unet(), {.rank = 8, .targets = {"all"}});
  rt::AdamW optimizer(lora.parameters(), {.learning_rate = 1e-3});
  rt::PromptSet prompts = rt::PromptSet::from_file("examples/tune/prompts_train.txt");
  rt::Rng rng(0);
  tuner.plan(updates);  // the last quarter explores no more
  for (int update = 0; update < updates; ++update)
    std::cout << name << ": " << tuner.update(pipeline, optimizer, prompts.draw(8, rng), rng) << '\n';
}

int main(int argc, char** argv) {
  const int updates = argc > 1 ? std::atoi(argv[1]) : 10;
  const char* folder = argc > 2 ? argv[2] : "examples/models/tiny-shapes";
  const rt::ClipScoreReward reward;  // uses the CLIP in the model's folder
  run(rt::make<rt::AlignProp, rt::DiffExp>(reward, {.sampler = {.num_steps = 8, .guidance = 3.0}}),
      "AlignProp with DiffExp", updates, folder);
  run(rt::make<rt::DDPO, rt::DynamicGuidance>(
          reward, {.sampler = {.num_steps = 8, .guidance = 3.0}, .exploration = {.low = 1.0, .threshold = 0.75}}),
      "DDPO with low guidance first", updates, folder);
}
