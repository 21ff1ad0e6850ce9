// B2-DiffuRL around two objectives: the last steps are trained first, and branches of one root are compared.
// Usage: 05_b2_diffurl [ROUNDS [MODEL_FOLDER]]
#include <reward_tuner/reward_tuner.hpp>
#include <reward_tuner/run/prompt_set.hpp>
#include <reward_tuner/shapes/shape_reward.hpp>

#include <cstdlib>
#include <iostream>

namespace rt = reward_tuner;

template <class Tuner>
void run(Tuner tuner, const char* name, int rounds, const char* folder) {
  auto pipeline = rt::StableDiffusion::load(folder);
  auto lora = rt::Lora::attach(pipeline.unet(), {.rank = 8, .targets = {"all"}});
  rt::AdamW optimizer(lora.parameters(), {.learning_rate = 1e-3});
  rt::PromptSet prompts = rt::PromptSet::from_file("examples/tune/prompts_train.txt");
  rt::Rng rng(0);
  tuner.plan(rounds);  // the window has grown to all steps at the end
  for (int round = 0; round < rounds; ++round) {
    const rt::UpdateReport report = tuner.update(pipeline, optimizer, prompts.draw(6, rng), rng);
    std::cout << name << ": kept " << report.kept << " of " << report.images << " images, trained the last "
              << report.plan.trained.size() << " steps; " << report << '\n';
  }
}

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 10;
  const char* folder = argc > 2 ? argv[2] : "examples/models/tiny-shapes";
  const rt::shapes::ShapeReward reward;  // a detector without gradient: does the image show what the prompt says?
  run(rt::make<rt::B2DiffuRL>(reward, {.sampler = {.num_steps = 8, .guidance = 2.0}}), "around DDPO", rounds, folder);
  run(rt::make<rt::B2DiffuRL, rt::Preference>(
          reward, {.sampler = {.num_steps = 8, .guidance = 2.0}, .branching = {.threshold = 0.3}}),
      "around DPO", rounds, folder);
}
