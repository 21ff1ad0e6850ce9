// What the methods that learn from sampled images share: their options from the settings, and one tuner type an
// objective.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include <reward_tuner/tuner/method.hpp>

#include "method_run.hpp"

namespace rt_tune {

/// `Method` with everything beside its objective chosen at run time: methods with one objective are one type, so that
/// each objective is compiled once.
template <template <class...> class Method>
using LogProbTuner = Method<rt::AnyReward, rt::AnySampler, ChosenSteps, ChosenAdvantage, ChosenBranching,
                            ChosenExploration, ChosenRegularizer>;

inline rt::RoundOptions round_options(const TuneSettings& s) {
  return {.samples_per_prompt = s.samples_per_prompt,
          .epochs = s.epochs,
          .updates_per_epoch = s.updates_per_epoch,
          .step_per_timestep = s.step_per_timestep,
          .rows = s.rows,
          .reduction = s.log_prob == "sum" ? rt::LogProbReduction::kSum : rt::LogProbReduction::kMean,
          .target = s.ratio_target == "plain" ? rt::RatioTarget::kPlain : rt::RatioTarget::kExplored};
}

inline ChosenAdvantage::Options advantage_options(const TuneSettings& s) {
  if (s.advantage == "per-prompt") return rt::PerPromptOptions{};
  if (s.advantage == "per-group") return rt::PerGroupOptions{};
  if (s.advantage == "history") return rt::HistoryOptions{};
  return rt::PerBatchOptions{};
}

inline ChosenSteps::Options step_options(const TuneSettings& s, const MethodEntry& method) {
  if (method.knows("window"))
    return rt::BackwardWindowOptions{
        .initial = s.window_start,
        .rounds = static_cast<int>(std::min<std::int64_t>(s.planned_updates, std::numeric_limits<int>::max()))};
  if (method.name != "lsrl") return rt::AllStepsOptions{};
  rt::RandomStepsOptions random;
  if (s.trained_steps > 0) random.num_trained = s.trained_steps;
  return random;
}

inline ChosenBranching::Options branching_options(const TuneSettings& s) {
  if (*s.branches == 1) return rt::NoBranchingOptions{};
  return rt::BestAndWorstOptions{.num_branches = *s.branches, .threshold = s.branch_threshold};
}

/// A tuner with everything the settings say; `objective` holds what is the objective's own.
template <class Tuner>
Tuner log_prob_tuner(const TuneSettings& s, const MethodEntry& method, const rt::AnyReward& reward,
                     typename Tuner::Objective::Options objective) {
  typename Tuner::Options options;
  options.sampler = sampler_options(s.sampling);
  options.steps = step_options(s, method);
  options.exploration = exploration_options(s);
  options.objective = std::move(objective);
  options.objective.round = round_options(s);
  options.advantage = advantage_options(s);
  options.branching = branching_options(s);
  options.regularizer = regularizer_options(s);
  options.engine = engine_options(s);
  return Tuner(reward, std::move(options));
}

/// Makes it with the session's reward, and runs it.
template <template <class...> class Method>
TuneResult train_on_log_probs(TuneSession& s, typename LogProbTuner<Method>::Objective::Options objective) {
  return train(log_prob_tuner<LogProbTuner<Method>>(s.settings, s.method, s.reward.reward, std::move(objective)), s);
}

}  // namespace rt_tune
