// The library in twenty lines: tunes a model with DRTune on mirror symmetry and saves a LoRA.
// Usage: 01_hello_drtune [UPDATES [MODEL_FOLDER [OUT_FOLDER]]]
#include <reward_tuner/reward_tuner.hpp>
#include <reward_tuner/run/prompt_set.hpp>

#include <cstdlib>
#include <iostream>

namespace rt = reward_tuner;

int main(int argc, char** argv) {
  const int updates = argc > 1 ? std::atoi(argv[1]) : 100;
  // a diffusers folder of Stable Diffusion 1.x, 2.x or XL
  auto pipeline = rt::StableDiffusion::load(argc > 2 ? argv[2] : "examples/models/tiny-shapes");
  auto lora = rt::Lora::attach(pipeline.unet(), {.rank = 8});  // frozen base, trainable A and B
  rt::AdamW optimizer(lora.parameters(), {.learning_rate = 1e-3});

  // options are nested by the role of the policy they belong to
  auto tuner = rt::make<rt::DRTune>(
      rt::SymmetryReward({.text_weight = 1.0}),
      {.sampler = {.num_steps = 20, .guidance = 5.0}, .steps = {.num_trained = 2, .max_early_stop = 8}});
  rt::PromptSet prompts = rt::PromptSet::from_file("examples/tune/prompts_train.txt");
  rt::Rng rng(0);
  for (int update = 0; update < updates; ++update) {
    const rt::UpdateReport report = tuner.update(pipeline, optimizer, prompts.draw(8, rng), rng);
    std::cout << report << '\n';
  }
  lora.save(argc > 3 ? argv[3] : "runs/mine/lora");
}
