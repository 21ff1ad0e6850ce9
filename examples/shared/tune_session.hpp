// What a method needs to run, and the units that can run one.
#pragma once
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/optim/adamw_8bit.hpp>
#include <reward_tuner/ranks/ranks.hpp>
#include <reward_tuner/ranks/sharded_optimizer.hpp>
#include <reward_tuner/regularizers/captioned_image_source.hpp>
#include <reward_tuner/run/best_evaluation.hpp>
#include <reward_tuner/run/evaluation.hpp>
#include <reward_tuner/run/run_progress.hpp>
#include <reward_tuner/run/trained_weights.hpp>
#include <reward_tuner/run/trainer_options.hpp>

#include "any_prompts.hpp"
#include "method_table.hpp"
#include "rewards.hpp"

namespace rt_shared {

/// One of several tasks on one model.
struct TuneTask {
  std::string name;
  TuneSettings settings;  ///< the run's, with what is the task's own
  ChosenReward reward;
  AnyPrompts prompts;
};

/// Throws the problem of a task again with the names of file and table in front.
[[noreturn]] void refuse_task(const std::filesystem::path& file, const std::string& task,
                              const std::exception& problem);

/// All that a method needs. The settings are complete (defaults.hpp).
struct TuneSession {
  const TuneSettings& settings;
  const MethodEntry& method;
  rt::StableDiffusion& pipeline;
  rt::ShardedOptimizer<rt::AdamW8bit>& optimizer;  ///< of one rank an AdamW8bit
  rt::TrainedWeights weights;
  AnyPrompts prompts;
  std::vector<rt::EvaluationPair> held_out;
  ChosenReward reward;
  std::vector<TuneTask> tasks;                                         ///< empty: one task, the reward above
  std::shared_ptr<const rt::CaptionedImageSource> pretraining_images;  ///< of --regularizer pretraining
  rt::RunDescription description;
  rt::TrainerOptions trainer;
  rt::Ranks ranks = {};
};

struct TuneResult {
  rt::RunEnd end;
  rt::RunProgress progress;
  std::optional<rt::BestEvaluation> kept;  ///< of --keep-best
};

using RunMethod = TuneResult (*)(TuneSession&);

/// Makes a unit known to the program that it is linked into: each unit has one at namespace scope.
struct RegisteredUnit {
  RegisteredUnit(MethodUnit unit, RunMethod run);
};
/// The unit that runs a method under these settings: --gradient-stop may name the other direct one.
MethodUnit unit_of(const MethodEntry& method, const TuneSettings& settings);
/// Whether the program has a method's own unit.
bool built(const MethodEntry& method);
/// Runs the session's method, or its tasks. Errors: a method that this program was built without.
TuneResult run_method(TuneSession& session);
/// Errors: a method or a gradient stop that this program was built without; the sentence names those it has.
void require_built(const MethodEntry& method, const TuneSettings& settings);

}  // namespace rt_shared
