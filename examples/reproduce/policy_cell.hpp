// Cells of methods that learn from samples by log-probabilities: one tuner type an objective, everything else chosen at
// run time.
#pragma once
#include <utility>

#include <reward_tuner/exploration/diffexp.hpp>
#include <reward_tuner/step_selection/backward_window.hpp>

#include "chosen_policies.hpp"
#include "train_cell.hpp"

namespace rt_reproduce {

/// Every step, or the backward window's.
inline reward_tuner::BackwardWindowOptions window_options(const CellSession& s) {
  return {.initial = s.cell.window ? s.study.settings.window_start : s.cell.steps,
          .rounds = s.study.settings.planned_updates};
}

inline ChosenBranching::Options branching_options(const CellSession& s) {
  // a pair is a pair
  if (s.cell.branches)
    return reward_tuner::BestAndWorstOptions{.num_branches = s.study.settings.samples,
                                             .threshold = s.cell.method == Method::kDpo ? 0 : 0.5};
  return reward_tuner::NoBranchingOptions{};
}
inline reward_tuner::RoundOptions round_options(const CellSession& s) {
  return {.samples_per_prompt = s.cell.branches ? 1 : s.study.settings.samples,
          .updates_per_epoch = s.study.settings.optimizer_steps,
          .rows = 16};
}

/// Of DiffExp both, either or none.
inline reward_tuner::DiffExpOptions exploration_options(const CellSession& s) {
  const Settings& o = s.study.settings;
  return {.guidance = {.low = o.low_guidance, .threshold = s.cell.guidance ? o.guidance_threshold : 1},
          .words = {.low = 1, .high = s.cell.words ? o.word_weight : 1},
          .span = {.share = s.cell.guidance || s.cell.words ? 0.75 : 0, .updates = o.planned_updates}};
}

/// `objective` without its round.
template <class Objective>
reward_tuner::RunEnd run_policy_cell(CellSession& s, typename Objective::Options objective) {
  namespace rt = reward_tuner;
  objective.round = round_options(s);
  using Tuner = rt::RewardTuner<rt::AnyReward, rt::Ddim, Objective, rt::BackwardWindow, ChosenAdvantage,
                                ChosenBranching, rt::DiffExp>;
  return train_cell(Tuner(s.reward, {.sampler = sampler_options(s),
                                     .steps = window_options(s),
                                     .exploration = exploration_options(s),
                                     .objective = objective,
                                     .advantage = rt::PerGroupOptions{.scale = rt::GroupScale::kBatch},
                                     .branching = branching_options(s),
                                     .engine = engine_options(s)}),
                    s);
}

}  // namespace rt_reproduce
