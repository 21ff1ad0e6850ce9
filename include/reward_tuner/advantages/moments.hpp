// What every advantage shares: the check of its input, means and variances, and the clamp.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/core/advantage_input.hpp>
#include <reward_tuner/core/check.hpp>

namespace reward_tuner::detail {

/// Throws unless there is one prompt and one group per reward, and every reward is finite. `name` is the policy's.
inline void check_rewards(std::string_view name, const AdvantageInput& input) {
  const std::size_t n = input.rewards.size();
  REWARD_TUNER_CHECK(input.prompts.size() == n && input.groups.size() == n, "[", name,
                     "] expected a prompt and a group for each of ", n, " rewards, got ", input.prompts.size(),
                     " prompts and ", input.groups.size(), " groups");
  for (std::size_t i = 0; i < n; ++i)
    REWARD_TUNER_CHECK(std::isfinite(input.rewards[i]), "[", name, "] expected finite rewards, got ", input.rewards[i],
                       " for image ", i, ", \"", input.prompts[i], '"');
}

inline void check_scaling(std::string_view name, double epsilon, double clamp) {
  REWARD_TUNER_CHECK(std::isfinite(epsilon) && epsilon > 0, "[", name, "] epsilon must be > 0, got ", epsilon);
  REWARD_TUNER_CHECK(std::isfinite(clamp) && clamp >= 0, "[", name, "] clamp must be >= 0 (0: none), got ", clamp);
}

/// long double, whose exponents hold the square of every double: finite rewards give finite advantages.
struct Moments {
  long double mean = 0;
  long double variance = 0;
  long double deviation() const { return std::sqrt(variance); }
};

/// Sums of sorted values do not depend on the images' order.
inline std::vector<double> sorted(std::vector<double> values) {
  std::ranges::sort(values);
  return values;
}

/// Mean and variance, the sum of squares divided by n, or by n - 1 if `unbiased` (0 for a single value). Equal values
/// give themselves and exactly 0, because differences from the smallest are summed; the order of the values does not
/// change a bit, because they are sorted.
inline Moments moments(std::vector<double> values, bool unbiased = false) {
  if (values.empty()) return {};
  values = sorted(std::move(values));
  const long double n = static_cast<long double>(values.size()), smallest = values.front();
  long double sum = 0, squares = 0;
  for (const double r : values) sum += r - smallest;
  const long double mean = smallest + sum / n;
  for (const double r : values) squares += (r - mean) * (r - mean);
  return {mean, unbiased ? squares / std::max(n - 1, 1.0L) : squares / n};
}

/// Root mean square of a round's rewards, what an epsilon is a share of: rewards in other units give equal advantages,
/// and differences far below the rewards' own size, where rounding begins, are not taken for a signal.
inline long double size_of(const std::vector<double>& rewards) {
  long double squares = 0;
  for (const double r : sorted(rewards)) squares += static_cast<long double>(r) * r;
  return rewards.empty() ? 0 : std::sqrt(squares / static_cast<long double>(rewards.size()));
}

/// (r_i - mean)/divisor of every reward within +-clamp; 0 does not clamp. `moments_of(i)` gives the moments that reward
/// i is compared with, `divisor_of(moments)` what divides. A reward that is the mean gets 0, whatever divides.
template <class MomentsOf, class DivisorOf>
std::vector<double> standardize(const std::vector<double>& rewards, MomentsOf moments_of, DivisorOf divisor_of,
                                double clamp) {
  std::vector<double> a;
  a.reserve(rewards.size());
  for (std::size_t i = 0; i < rewards.size(); ++i) {
    const Moments& m = moments_of(i);
    const long double distance = rewards[i] - m.mean;
    const double own = distance == 0 ? 0 : static_cast<double>(distance / divisor_of(m));
    a.push_back(clamp > 0 ? std::clamp(own, -clamp, clamp) : own);
  }
  return a;
}

/// The rewards of each key, in the order of the images.
template <class Key>
std::map<Key, std::vector<double>> rewards_by(const std::vector<Key>& keys, const std::vector<double>& rewards) {
  std::map<Key, std::vector<double>> by;
  for (std::size_t i = 0; i < keys.size(); ++i) by[keys[i]].push_back(rewards[i]);
  return by;
}

}  // namespace reward_tuner::detail
