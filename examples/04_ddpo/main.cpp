// A black-box reward: DDPO tunes for images that are small as JPEG files. Any program that scores images can be the
// reward.
// Usage: 04_ddpo [ROUNDS [MODEL_FOLDER]]
#include <reward_tuner/reward_tuner.hpp>
#include <reward_tuner/rewards/jpeg_size.hpp>
#include <reward_tuner/run/prompt_set.hpp>

#include <cstdlib>
#include <iostream>

namespace rt = reward_tuner;

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
  auto pipeline = rt::StableDiffusion::load(argc > 2 ? argv[2] : "examples/models/tiny-shapes");
  auto lora = rt::Lora::attach(pipeline.unet(), {.rank = 8, .targets = {"all"}});
  rt::AdamW optimizer(lora.parameters(), {.learning_rate = 1e-3});

  // DDIM defaults to eta 1 here. A clip range in nats holds for latents of any size; 1.64 is the default too
  auto tuner = rt::make<rt::DDPO>(rt::JpegSizeReward(),
                                  {.sampler = {.num_steps = 8, .guidance = 2.0}, .objective = {.clip_nats = 1.64}});
  rt::PromptSet prompts = rt::PromptSet::from_file("examples/tune/prompts_train.txt");
  rt::Rng rng(0);
  for (int round = 0; round < rounds; ++round) {
    std::cout << tuner.update(pipeline, optimizer, prompts.draw(16, rng), rng) << '\n';
  }
}
