// What the optimizer steps of a round share, whatever is learned from it: passes, their shares, and each step's end.
#pragma once
#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include <reward_tuner/engine/condition_gradient.hpp>
#include <reward_tuner/tensor/rng.hpp>
#include <reward_tuner/tuner/round.hpp>
#include <reward_tuner/tuner/running_update.hpp>

namespace reward_tuner {

/// Rows in one network call of the training of `kept` images.
template <class Parts>
std::int64_t rows_at_once(const Parts& parts, std::int64_t kept) {
  if (const int rows = parts.objective.options().round.rows; rows > 0) return rows;
  const int micro = parts.options.engine.micro_batch;
  return micro > 0 ? std::min<std::int64_t>(micro, kept) : kept;
}

/// The units 0..count-1 of one pass, cut into `parts` nearly equal shares, in random order if there is more than one.
inline std::vector<std::vector<std::int64_t>> shares(std::int64_t count, std::int64_t parts, Rng& rng) {
  parts = std::min(parts, count);
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  if (parts > 1) {
    const Tensor shuffled = rng.permutation(count);
    std::copy_n(shuffled.const_data_ptr<std::int64_t>(), count, order.begin());
  }
  std::vector<std::vector<std::int64_t>> out;
  for (std::int64_t part = 0; part < parts; ++part)
    out.emplace_back(order.begin() + part * count / parts, order.begin() + (part + 1) * count / parts);
  return out;
}

/// The text encoder's part of an optimizer step of the round.
template <class Parts, class Update>
auto round_gradient(const Parts& parts, const Update& update, const Round& round) {
  return ConditionGradient(update.pipeline, round.source, parts.options.engine.micro_batch);
}

/// What an optimizer step trains on: the round's transitions, with the condition of the present text encoder if it is
/// trained.
template <class Pipeline>
Transitions present_transitions(const Round& round, ConditionGradient<Pipeline>& gradient) {
  Transitions t = round.transitions;
  if (gradient.trained()) t.setup.condition = gradient.renewed();
  return t;
}

/// Ends an optimizer step of the round: the regularizer's own loss joins the gradients, and they are spent. False if
/// they are not finite: the round ends there.
template <class Parts, class Update>
bool end_round_step(const Parts& parts, Update& update) {
  add_own_loss(parts.regularizer, update);
  if (!optimizer_step(update, *parts.options.engine.gradient_clip)) return false;
  update.optimizer.zero_grad();
  return true;
}

}  // namespace reward_tuner
