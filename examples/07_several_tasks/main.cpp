// Several rewards on one model, each with its own prompts and advantages: all tasks are sampled before any is trained.
// Usage: 07_several_tasks [UPDATES [MODEL_FOLDER]]
#include <reward_tuner/reward_tuner.hpp>
#include <reward_tuner/run/prompt_set.hpp>
#include <reward_tuner/shapes/composition.hpp>

#include <cstdlib>
#include <iostream>

namespace rt = reward_tuner;

int main(int argc, char** argv) {
  const int updates = argc > 1 ? std::atoi(argv[1]) : 10;
  auto pipeline = rt::StableDiffusion::load(argc > 2 ? argv[2] : "examples/models/tiny-shapes");
  auto lora = rt::Lora::attach(pipeline.unet(), {.rank = 8, .targets = {"all"}});
  rt::AdamW optimizer(lora.parameters(), {.learning_rate = 1e-3});

  const rt::DdimOptions sampler{.num_steps = 8, .guidance = 2.0};
  auto bright = rt::make<rt::LSRL>(rt::black_box([](const rt::Tensor& images) { return images.mean({1, 2, 3}); }),
                                   {.sampler = sampler, .steps = {.num_trained = 3}});
  auto objects = rt::make<rt::DDPO, rt::RandomSteps>(rt::shapes::CompositionReward(),
                                                     {.sampler = sampler, .steps = {.num_trained = 3}});
  auto tasks = rt::multi_task(
      {}, rt::task("bright", bright),
      rt::task("objects", objects, rt::PromptSet::from_file("examples/tune/prompts_pairs_train.txt"), 6));

  rt::PromptSet prompts = rt::PromptSet::from_file("examples/tune/prompts_train.txt");
  rt::Rng rng(0);
  for (int update = 0; update < updates; ++update)
    std::cout << tasks.update(pipeline, optimizer, prompts.draw(8, rng), rng) << '\n';
}
