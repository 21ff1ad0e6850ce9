// The advantage of each row of a round: the image's, less a learned baseline where the objective has one.
#pragma once
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <cstdint>
#include <vector>

#include <reward_tuner/core/policy_traits.hpp>
#include <reward_tuner/engine/value_baseline.hpp>
#include <reward_tuner/tensor/device.hpp>
#include <reward_tuner/tensor/rng.hpp>
#include <reward_tuner/tuner/round.hpp>

namespace reward_tuner {

/// At every trained step [kept], empty elsewhere. `learned`: the baseline's tensors.
template <class Objective>
PerStep<std::vector<double>> row_advantages(const Round& round, [[maybe_unused]] const Objective& objective,
                                            [[maybe_unused]] const ValueBaseline::State& learned) {
  PerStep<std::vector<double>> rows(round.transitions.setup.schedule.num_steps());
  for (const int k : round.transitions.steps()) rows(k) = round.weights;
  if constexpr (ObjectiveTraits<Objective>::kValueBaseline) {
    if (!objective.value_baseline().enabled.value_or(true)) return rows;
    std::vector<Tensor> of_steps;
    for (const int k : round.transitions.steps())
      of_steps.push_back(ValueBaseline::values(learned, ValueBaseline::features(round.transitions, k)));  // [kept]
    const Tensor values = at::cat(of_steps).cpu();                                                        // [K*kept]
    const double* value = values.const_data_ptr<double>();
    for (const int k : round.transitions.steps())
      for (double& advantage : rows(k)) advantage -= *value++;
  }
  return rows;
}

/// Fits the baseline to the round's advantages after its training.
template <class Objective>
void fit_baseline([[maybe_unused]] const Round& round, [[maybe_unused]] const Objective& objective,
                  [[maybe_unused]] ValueBaseline::State& learned, [[maybe_unused]] Rng& rng) {
  if constexpr (ObjectiveTraits<Objective>::kValueBaseline) {
    if (!objective.value_baseline().enabled.value_or(true)) return;
    std::vector<Tensor> features;
    for (const int k : round.transitions.steps()) features.push_back(ValueBaseline::features(round.transitions, k));
    // [K*kept]
    const Tensor targets = at::tensor(round.weights, at::kDouble).repeat({static_cast<std::int64_t>(features.size())});
    ValueBaseline(objective.value_baseline()).fit(learned, at::cat(features), beside(features[0], targets), rng);
  }
}

}  // namespace reward_tuner
