// Which images of a round are trained, and with what weight.
#pragma once
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/tuner/round.hpp>

namespace reward_tuner {

/// Lets the branching choose among each root's advantages [roots*branches]; fills the round's weights and, for
/// objectives on pairs, its pairs (a preference needs both of a root). Nothing is kept if no advantage differs from 0:
/// such a round has nothing to teach, and an optimizer step would only decay weights and moments. -> int64 [kept]
template <ObjectivePolicy Objective, BranchingPolicy Branching>
Tensor select_branches(Round& round, const std::vector<double>& advantages, const Branching& branching) {
  std::vector<std::int64_t> kept;
  const auto add = [&](std::size_t sample, double weight) {
    kept.push_back(static_cast<std::int64_t>(sample));
    round.weights.push_back(advantages[sample] * weight);
    return static_cast<std::int64_t>(kept.size()) - 1;
  };
  const auto branches = static_cast<std::size_t>(branching.branches());
  for (std::size_t root = 0; root < advantages.size(); root += branches) {
    const auto own = branching.choose({advantages.begin() + static_cast<std::ptrdiff_t>(root),
                                       advantages.begin() + static_cast<std::ptrdiff_t>(root + branches)});
    if constexpr (ObjectiveTraits<Objective>::kPairs) {
      if (own.size() != 2) continue;
      const std::int64_t first = add(root + own[0].branch, own[0].weight),
                         second = add(root + own[1].branch, own[1].weight);
      const bool in_order = advantages[root + own[0].branch] >= advantages[root + own[1].branch];
      round.pairs.emplace_back(in_order ? first : second, in_order ? second : first);
    } else {
      for (const BranchChoice& choice : own) add(root + choice.branch, choice.weight);
    }
  }
  if (std::all_of(round.weights.begin(), round.weights.end(), [](double w) { return w == 0; })) {
    kept.clear();
    round.weights.clear();
    round.pairs.clear();
  }
  return at::tensor(kept, at::kLong);
}

/// Counts the groups of a round's images [N], and those that teach nothing.
inline void count_groups(const Round& round, const std::vector<std::int64_t>& groups, const Tensor& kept,
                         UpdateReport& report) {
  std::set<std::int64_t> teaching;
  for (std::size_t i = 0; i < round.weights.size(); ++i)
    if (round.weights[i] != 0)
      teaching.insert(groups[static_cast<std::size_t>(kept.const_data_ptr<std::int64_t>()[i])]);
  report.groups = static_cast<std::int64_t>(std::set(groups.begin(), groups.end()).size());
  report.idle_groups = report.groups - static_cast<std::int64_t>(teaching.size());
}

/// Keeps the images that are worth a network call: those whose weight is not lost beside the largest in float32. The
/// others still count in the mean. -> int64 [kept]
inline Tensor select_weighted(Round& round, const std::vector<double>& weights) {
  constexpr double kNegligible = 1e-8;
  double largest = 0;
  for (const double w : weights) largest = std::max(largest, std::abs(w));
  std::vector<std::int64_t> kept;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (std::abs(weights[i]) <= kNegligible * largest) continue;
    kept.push_back(static_cast<std::int64_t>(i));
    round.weights.push_back(weights[i]);
  }
  return at::tensor(kept, at::kLong);
}

}  // namespace reward_tuner
