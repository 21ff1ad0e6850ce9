// Methods by name. Each objective is instantiated in a translation unit of its own, tune_<name>.cpp, since each is a
// different type.
#pragma once
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/run/evaluation.hpp>
#include <reward_tuner/run/run_progress.hpp>
#include <reward_tuner/run/trained_weights.hpp>
#include <reward_tuner/run/trainer_options.hpp>
#include <reward_tuner/samplers/any_sampler.hpp>

#include "any_prompts.hpp"
#include "rewards.hpp"
#include "settings.hpp"
#include "tasks.hpp"

namespace rt_tune {

struct TuneResult {
  reward_tuner::RunEnd end;
  reward_tuner::RunProgress progress;
};

struct TuneSession;

/// One row of the table of methods.
struct MethodEntry {
  std::string_view name, summary;
  /// What flags it knows, in words: gradient (follows the reward's gradient) or sampled (learns from sampled images);
  /// of the latter log-prob or denoising; of log-prob clip, window, pairs, dpok.
  std::string_view traits;
  TuneResult (*tune)(TuneSession&);
  std::string_view advantage = {};  ///< default of --advantage; log-prob only
  int branches = 1;                 ///< default of --branches; log-prob only

  /// Whether `word` is its name or among its traits.
  bool knows(std::string_view word) const;
};
const std::vector<MethodEntry>& method_entries();
/// The row of a name. Errors: a name that is not in the table.
const MethodEntry& method_entry(std::string_view name);

/// All that a method needs to run.
struct TuneSession {
  const TuneSettings& settings;
  const MethodEntry& method;
  reward_tuner::StableDiffusion& pipeline;
  reward_tuner::AdamW& optimizer;
  reward_tuner::TrainedWeights weights;
  AnyPrompts prompts;
  std::vector<reward_tuner::EvaluationPair> held_out;
  ChosenReward reward;
  std::vector<TuneTask> tasks;  ///< of --tasks; empty: one task, the reward above
  reward_tuner::RunDescription description;
  reward_tuner::TrainerOptions trainer;
};

TuneResult tune_drtune(TuneSession& session);
TuneResult tune_draft(TuneSession& session);
TuneResult tune_draft_lv(TuneSession& session);
TuneResult tune_refl(TuneSession& session);
TuneResult tune_alignprop(TuneSession& session);
TuneResult tune_ddpo(TuneSession& session);
TuneResult tune_policy_gradient(TuneSession& session);
TuneResult tune_dpok(TuneSession& session);
TuneResult tune_dpo(TuneSession& session);
TuneResult tune_reward_weighted(TuneSession& session);
TuneResult tune_tasks(TuneSession& session);

inline reward_tuner::AnySamplerOptions sampler_options(const SamplingSettings& s) {
  return {.name = s.sampler, .num_steps = s.steps, .guidance = s.guidance, .eta = s.eta};
}

}  // namespace rt_tune
