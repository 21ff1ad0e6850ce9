// What the methods that learn from sampled images share: their options from the settings, and one tuner type an
// objective.
#pragma once
#include <algorithm>
#include <optional>
#include <utility>

#include "method_run.hpp"
#include "sampler_options.hpp"

namespace rt_shared {

/// A tuner with everything beside its objective chosen at run time: methods with one objective are one type.
template <class Objective>
using LogProbTuner = rt::RewardTuner<rt::AnyReward, rt::AnySampler, Objective, ChosenSteps, ChosenAdvantage,
                                     ChosenBranching, ChosenExploration, ChosenRegularizer>;

inline rt::RoundOptions round_options(const TuneSettings& s) {
  return {.samples_per_prompt = s.samples_per_prompt,
          .epochs = s.epochs,
          .updates_per_epoch = s.updates_per_epoch,
          .step_per_timestep = s.step_per_timestep,
          .rows = s.rows,
          .reduction = s.log_prob,
          .step_weights = s.step_weights,
          .target = s.ratio_target};
}

inline ChosenAdvantage::Options advantage_options(const TuneSettings& s) {
  switch (s.advantage) {
    case AdvantageName::kPerPrompt:
      return rt::PerPromptOptions{};
    case AdvantageName::kPerGroup:
      return rt::PerGroupOptions{.scale = s.group_scale};
    case AdvantageName::kPerReward:
      return rt::PerRewardOptions{};
    case AdvantageName::kHistory:
      return rt::HistoryOptions{};
    case AdvantageName::kOwn:
    case AdvantageName::kPerBatch:
      break;
  }
  return rt::PerBatchOptions{};
}

inline ChosenSteps::Options sampled_steps(const TuneSettings& s, const MethodEntry& method) {
  if (method.knows("window")) return rt::BackwardWindowOptions{.initial = s.window_start, .skip_last = s.skip_last};
  if (method.name == "lsrl") {
    // the default bends to the steps that have noise; what was asked for does not
    const bool asked = s.was_given("trained-steps") || s.trained_steps != std::min(method.trained_steps, s.steps);
    return rt::RandomStepsOptions{.num_trained = asked ? std::optional(s.trained_steps) : std::nullopt,
                                  .skip_last = s.skip_last};
  }
  return rt::AllStepsOptions{.skip_last = s.skip_last};
}

inline ChosenBranching::Options branching_options(const TuneSettings& s) {
  if (*s.branches == 1) return rt::NoBranchingOptions{};
  return rt::BestAndWorstOptions{.num_branches = *s.branches, .threshold = s.branch_threshold};
}

/// A tuner with everything that `s` says, the session's settings or a task's; `objective` holds what is the
/// objective's own.
template <class Objective>
LogProbTuner<Objective> log_prob_tuner(const TuneSession& session, const TuneSettings& s, const rt::AnyReward& reward,
                                       typename Objective::Options objective) {
  typename LogProbTuner<Objective>::Options options;
  options.sampler = sampler_options(s);
  options.steps = sampled_steps(s, session.method);
  options.exploration = exploration_options(s);
  options.objective = std::move(objective);
  options.objective.round = round_options(s);
  options.advantage = advantage_options(s);
  options.branching = branching_options(s);
  options.regularizer = regularizer_options(session, s);
  options.engine = engine_options(s);
  return LogProbTuner<Objective>(reward, std::move(options));
}

/// Makes it of the session, and runs it.
template <class Objective>
TuneResult train_on_log_probs(TuneSession& session, typename Objective::Options objective) {
  return train(log_prob_tuner<Objective>(session, session.settings, session.reward.reward, std::move(objective)),
               session);
}

}  // namespace rt_shared
