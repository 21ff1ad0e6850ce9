// A whole training run of milliseconds on the tiny model folder, with everything a resume must bring back: warm-up,
// average, adapter, noise, evaluations.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/rewards/symmetry.hpp>
#include <reward_tuner/run/trainer.hpp>
#include <reward_tuner/samplers/any_sampler.hpp>

namespace reward_tuner::reference {

inline TrainerOptions small_run_options(std::int64_t updates, std::int64_t evaluate_every,
                                        std::int64_t checkpoint_every) {
  TrainerOptions options;
  options.updates = updates;
  options.batch = 2;
  options.seed = 3;
  options.learning_rate.warm_up = 4;
  options.ema_decay = 0.9;
  options.evaluate_every = evaluate_every;
  options.images = 2;
  options.checkpoint_every = checkpoint_every;
  return options;
}

/// A whole run with objects of its own, as a program would make it. `seen` gets the trainer before it runs.
template <class Reward = SymmetryReward, class Seen>
TrainingOutcome small_run(const std::filesystem::path& model, const std::filesystem::path& folder,
                          const TrainerOptions& options, double guidance, Reward reward, Seen seen) {
  auto pipeline = StableDiffusion::load(model);
  const auto lora = Lora::attach(pipeline.unet(), {.rank = 2, .targets = {"all"}});
  AdamW optimizer(lora.parameters(), {.learning_rate = 1e-2});
  auto tuner = make<DRTune, AnySampler, KlToReference>(std::move(reward),
                                                       {.sampler = {.num_steps = 4, .guidance = guidance, .eta = 0.5},
                                                        .steps = {.num_trained = 2, .max_early_stop = 2},
                                                        .regularizer = {.weight = 0.1}});
  const std::vector<std::string> prompts = {"a red circle", "a blue square", "a green ring"};
  const RunDescription description{
      .method = "drtune", .reward = "symmetry", .model = "tiny", .options = {{"guidance", guidance}}};
  Trainer trainer(tuner, pipeline, optimizer, PromptSet(prompts),
                  {folder, trained_weights(lora), evaluation_pairs(prompts, 1, 100), description}, options);
  seen(trainer);
  return trainer.run();
}

inline TrainingOutcome small_run(const std::filesystem::path& model, const std::filesystem::path& folder,
                                 const TrainerOptions& options, double guidance = 2.0) {
  return small_run(model, folder, options, guidance, SymmetryReward(), [](const auto&) {});
}

/// The same with any tuner: what must come back is its state.
template <class Tuner>
TrainingOutcome small_run_of(Tuner tuner, const std::filesystem::path& model, const std::filesystem::path& folder,
                             const TrainerOptions& options) {
  auto pipeline = StableDiffusion::load(model);
  const auto lora = Lora::attach(pipeline.unet(), {.rank = 2, .targets = {"all"}});
  AdamW optimizer(lora.parameters(), {.learning_rate = 1e-2});
  const std::vector<std::string> prompts = {"a red circle", "a blue square", "a green ring"};
  const RunDescription description{.method = "any", .reward = "any", .model = "tiny"};
  Trainer trainer(tuner, pipeline, optimizer, PromptSet(prompts),
                  {folder, trained_weights(lora), evaluation_pairs(prompts, 1, 100), description}, options);
  return trainer.run();
}

}  // namespace reward_tuner::reference
