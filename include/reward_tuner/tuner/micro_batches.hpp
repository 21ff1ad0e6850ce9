// How the samples of an update are cut into micro-batches.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/ranks/ranks.hpp>

namespace reward_tuner {

/// The samples 0..batch-1 in micro-batches of at most `size` (0: all in one), in order. -> sample numbers
inline std::vector<std::vector<std::int64_t>> micro_batches(std::int64_t batch, std::int64_t size) {
  std::vector<std::vector<std::int64_t>> parts;
  for (std::int64_t i = 0; i < batch; ++i) {
    if (parts.empty() || (size > 0 && static_cast<std::int64_t>(parts.back().size()) == size)) parts.emplace_back();
    parts.back().push_back(i);
  }
  return parts;
}

/// The same with whole groups, for a reward that scores them: groups in the order of their first sample, as many in a
/// micro-batch as fit. `reward` heads the message. Errors: a group larger than a micro-batch.
inline std::vector<std::vector<std::int64_t>> whole_groups(const std::vector<std::int64_t>& groups, std::int64_t size,
                                                           std::string_view reward) {
  const auto batch = static_cast<std::int64_t>(groups.size());
  if (size == 0 || size >= batch) return micro_batches(batch, 0);
  std::vector<std::vector<std::int64_t>> members;
  std::map<std::int64_t, std::size_t> place;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const auto [found, fresh] = place.emplace(groups[i], members.size());
    if (fresh) members.emplace_back();
    members[found->second].push_back(static_cast<std::int64_t>(i));
  }
  std::vector<std::vector<std::int64_t>> parts;
  for (const std::vector<std::int64_t>& group : members) {
    const auto count = static_cast<std::int64_t>(group.size());
    REWARD_TUNER_CHECK(count <= size, "[RewardTuner] engine.micro_batch would cut a group of the reward ", reward,
                       ": expected 0 or at least ", count, ", the images of one prompt, got ", size);
    if (parts.empty() || static_cast<std::int64_t>(parts.back().size()) + count > size) parts.emplace_back();
    parts.back().insert(parts.back().end(), group.begin(), group.end());
  }
  return parts;
}

/// Throws unless every rank has something to do.
inline void check_micro_batches(const Ranks& ranks, std::int64_t parts, std::int64_t images) {
  REWARD_TUNER_CHECK(parts >= ranks.size(), "[Ranks] ", ranks.size(),
                     " ranks expected at least as many micro-batches of an update's ", images, " images, got ", parts,
                     ": set engine.micro_batch to ", std::max<std::int64_t>(1, images / ranks.size()),
                     " or less, or start fewer ranks");
}

}  // namespace reward_tuner
