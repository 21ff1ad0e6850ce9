// Your own reward: any function of the images that autograd can differentiate.
// Usage: 02_own_reward [UPDATES [MODEL_FOLDER]]
#include <reward_tuner/reward_tuner.hpp>
#include <reward_tuner/run/prompt_set.hpp>

#include <cstdlib>
#include <iostream>

namespace rt = reward_tuner;

int main(int argc, char** argv) {
  const int updates = argc > 1 ? std::atoi(argv[1]) : 20;
  auto pipeline = rt::StableDiffusion::load(argc > 2 ? argv[2] : "examples/models/tiny-shapes");
  auto lora = rt::Lora::attach(pipeline.unet(), {.rank = 4});
  rt::AdamW optimizer(lora.parameters(), {.learning_rate = 1e-3});

  const double blueness = 2.0;                                             // captured by value, as in any lambda
  auto reward = rt::differentiable([blueness](const rt::Tensor& images) {  // [B,3,H,W], nominally in [0,1]
    const rt::Tensor channels = images.clamp(0, 1).mean({2, 3});           // [B,3]
    return blueness * channels.select(1, 2) - channels.select(1, 0) - channels.select(1, 1);  // [B], higher is better
  });

  auto tuner = rt::make<rt::DRaFT, rt::Ddpm>(
      reward, {.sampler = {.num_steps = 10, .guidance = 3.0}, .steps = {.num_trained = 1}});
  rt::PromptSet prompts({"a red circle", "a green square", "a yellow star", "a white ring"});
  rt::Rng rng(0);
  for (int update = 0; update < updates; ++update)
    std::cout << tuner.update(pipeline, optimizer, prompts.draw(4, rng), rng) << '\n';
}
