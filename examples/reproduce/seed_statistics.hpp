// Means and deviations over seeds, and what differences that are paired by seed say.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/core/student_t.hpp>

namespace rt_reproduce {

inline double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}
/// Unbiased; 0 of a single value.
inline double deviation(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const double center = mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - center) * (value - center);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

/// Numbers by seed.
using SeedValues = std::map<int, double>;

/// better - worse, of every seed that has both.
inline std::vector<double> seed_differences(const SeedValues& better, const SeedValues& worse) {
  std::vector<double> all;
  for (const auto& [seed, value] : better)
    if (const auto found = worse.find(seed); found != worse.end()) all.push_back(value - found->second);
  return all;
}

/// The mean of differences, one a seed.
struct PairedDifference {
  int seeds = 0;
  double mean = 0;
  double low = 0, high = 0;  ///< its interval of 95% by Student's t; infinite of less than two seeds
  double deviation = 0;      ///< of a seed's difference
};
inline PairedDifference paired_difference(const std::vector<double>& differences) {
  PairedDifference d;
  d.seeds = static_cast<int>(differences.size());
  if (d.seeds > 0) d.mean = mean(differences);
  d.deviation = deviation(differences);
  const double half = d.seeds < 2 ? std::numeric_limits<double>::infinity()
                                  : reward_tuner::student_t_95(d.seeds - 1) * d.deviation / std::sqrt(d.seeds);
  d.low = d.mean - half, d.high = d.mean + half;
  return d;
}

/// Of a claim that a difference is above 0: "holds" if its whole interval is, "contradicted" if none of it is, else
/// "cannot tell"; "cannot tell" too if it has a premise whose interval does not lie above 0.
inline std::string verdict(const PairedDifference& d, const std::optional<PairedDifference>& premise = {}) {
  if (premise && !(premise->low > 0)) return "cannot tell";
  return d.low > 0 ? "holds" : d.high <= 0 ? "contradicted" : "cannot tell";
}

/// How many seeds tell a difference of `effect` from 0 in four of five studies, by the paired t-test (two-sided, 5%),
/// if single differences deviate by `deviation`: ((z_0.975 + z_0.8) deviation / effect)^2 + z_0.975^2 / 2, at least 2.
/// The last term is for the small sample (Guenther 1981).
inline int seeds_to_tell(double effect, double deviation) {
  constexpr double kTail = 1.959964, kPower = 0.841621;
  const double both = (kTail + kPower) * deviation / effect;
  return std::max(2, static_cast<int>(std::ceil(both * both + kTail * kTail / 2)));
}

/// What share of one gain another is: the ratio of the means of gains that are paired by seed, with its interval of 95%
/// by Fieller's theorem, the ratios r whose mean difference part - r whole Student's t does not tell from 0. It has two
/// ends only if the mean of `whole` is told from 0, else no ratio means anything.
struct GainRatio {
  double ratio = 0, low = 0, high = 0;
  bool told = false;  ///< whether there is an interval
};
/// One gain a seed of each.
inline GainRatio gain_ratio(const std::vector<double>& part, const std::vector<double>& whole) {
  GainRatio r;
  const auto seeds = static_cast<double>(whole.size());
  if (whole.size() < 2) return r;
  const double a = mean(part), b = mean(whole), t = reward_tuner::student_t_95(static_cast<int>(whole.size()) - 1);
  double both = 0;  // covariance
  for (std::size_t i = 0; i < whole.size(); ++i) both += (part[i] - a) * (whole[i] - b) / (seeds - 1);
  const double share = t * t / seeds, square = b * b - share * deviation(whole) * deviation(whole),
               cross = a * b - share * both, rest = a * a - share * deviation(part) * deviation(part);
  if (!(square > 0)) return r;
  r.told = true;
  r.ratio = a / b;
  const double half = std::sqrt(std::max(0.0, cross * cross - square * rest)) / square;
  r.low = cross / square - half, r.high = cross / square + half;
  return r;
}

}  // namespace rt_reproduce
