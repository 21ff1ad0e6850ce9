// Where the steps of DpmSolver, Euler and EulerAncestral lie: timesteps and noise levels, which need not be those of a
// training step.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/core/sampler_schedule.hpp>

namespace reward_tuner {

/// T timesteps, and the ratios sigma/alpha of latent(0) .. latent(T), which fall.
struct SolverLevels {
  std::vector<double> timesteps, ratios;
};

/// The noise levels of a model's training as ratios sigma/alpha, which grow with the timestep. A last level without
/// signal (zero terminal SNR) has abar = 2^-24, as diffusers' solvers have it.
class TrainingRatios {
 public:
  explicit TrainingRatios(const NoiseSchedule& noise) {
    for (std::int64_t t = 0; t < noise.config().num_train_steps; ++t)
      ratios_.push_back(Level::of_abar(noise.abar(t) > 0 ? noise.abar(t) : kLeastSignal).ratio());
    REWARD_TUNER_CHECK(ratios_.size() > 1 && std::is_sorted(ratios_.begin(), ratios_.end()),
                       "[Sampler] a solver at noise levels of its own expected at least 2 training steps whose noise "
                       "grows, got ",
                       ratios_.size());
  }

  double lowest() const { return ratios_.front(); }
  double highest() const { return ratios_.back(); }
  std::int64_t size() const { return static_cast<std::int64_t>(ratios_.size()); }
  /// The ratio at a timestep, on the line between its neighbors.
  double at(double timestep) const {
    const auto below = static_cast<std::size_t>(std::min(timestep, static_cast<double>(ratios_.size() - 2)));
    return std::lerp(ratios_[below], ratios_[below + 1], timestep - static_cast<double>(below));
  }
  /// The timestep of a ratio, on the line between the logarithms of its neighbors, in 0..size-1.
  double timestep(double ratio) const {
    const double below = timestep_below(ratio);
    const auto at = static_cast<std::size_t>(below);
    const double low = std::log(ratios_[at]), high = std::log(ratios_[at + 1]);
    return below + std::clamp((std::log(ratio) - low) / (high - low), 0.0, 1.0);
  }
  /// The training step at or below a ratio, at most the last but one: to which diffusers' rounding takes the highest
  /// ratio.
  double timestep_below(double ratio) const {
    return static_cast<double>(std::upper_bound(ratios_.begin() + 1, ratios_.end() - 1, ratio) - ratios_.begin() - 1);
  }

 private:
  static constexpr double kLeastSignal = 0x1p-24;
  std::vector<double> ratios_;  // [training steps]
};

namespace detail {

/// The share of the distribution Beta(a, a) below x in (0, 1/2], by the continued fraction of the incomplete beta
/// function (DLMF 8.17.22).
inline double symmetric_beta_share(double x, double a) {
  constexpr int kTerms = 60;
  double fraction = 1;
  for (int i = kTerms; i >= 1; --i) {
    const auto m = static_cast<double>(i / 2);
    const double numerator = i % 2 == 0 ? m * (a - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
                                        : -(a + m) * (2 * a + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    fraction = 1 + numerator / fraction;
  }
  return std::pow(x * (1 - x), a) / (a * (std::tgamma(a) * std::tgamma(a) / std::tgamma(2 * a)) * fraction);
}

/// The x below which a share p of Beta(0.6, 0.6) lies.
inline double beta_quantile(double p) {
  constexpr double kShape = 0.6;
  if (p > 0.5) return 1 - beta_quantile(1 - p);
  double low = 0, high = 0.5;
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = 0.5 * (low + high);
    (symmetric_beta_share(middle, kShape) < p ? low : high) = middle;
    if (0.5 * (low + high) == middle) break;
  }
  return 0.5 * (low + high);
}

}  // namespace detail

/// n ratios from the highest to the lowest, both included; n = 1 is the highest alone.
inline std::vector<double> spaced_ratios(LevelSpacing spacing, double highest, double lowest, int n) {
  constexpr double kRho = 7;  // Karras et al. 2022, Table 1
  std::vector<double> out;
  for (int k = 0; k < n; ++k) {
    const double way = n == 1 ? 0.0 : static_cast<double>(k) / (n - 1);
    switch (spacing) {
      case LevelSpacing::kTimesteps:
        detail::fail("[Sampler] the timesteps have levels of their own");
      case LevelSpacing::kKarras:
        out.push_back(std::pow(std::lerp(std::pow(highest, 1 / kRho), std::pow(lowest, 1 / kRho), way), kRho));
        break;
      case LevelSpacing::kExponential:
        out.push_back(std::exp(std::lerp(std::log(highest), std::log(lowest), way)));
        break;
      case LevelSpacing::kBeta:
        out.push_back(std::lerp(lowest, highest, detail::beta_quantile(1 - way)));
        break;
    }
  }
  return out;
}

/// Throws unless the ratios fall from step to step (the last step may stay where it is) and the network's prediction
/// makes sense at the first.
inline void check_levels(const SolverLevels& levels, const NoiseSchedule& noise, std::string_view name) {
  const auto& r = levels.ratios;
  const auto end = r.end() - 1;
  const auto equal = std::adjacent_find(r.begin(), end, [](double a, double b) { return !(a > b); });
  REWARD_TUNER_CHECK(equal == end, "[", name, "] expected noise levels that fall from step to step, got ", *equal,
                     " and ", *(equal + 1), " at steps ", equal - r.begin(), " and ", equal - r.begin() + 1,
                     ": lower num_steps or choose another spacing");
  REWARD_TUNER_CHECK(!noise.config().zero_terminal_snr || noise.config().prediction != PredictionType::kEpsilon ||
                         levels.timesteps.front() <= static_cast<double>(noise.config().num_train_steps - 2),
                     "[Sampler] timestep ", levels.timesteps.front(),
                     " has no signal (zero terminal SNR): an epsilon prediction is singular there, use v_prediction");
}

/// What places the steps of Euler and EulerAncestral.
struct EulerLevelOptions {
  int num_steps = 0;
  TimestepSpacing spacing = TimestepSpacing::kLinspace;
  LevelSpacing levels = LevelSpacing::kTimesteps;
  FinalLevel final_level = FinalLevel::kZero;
  bool log_linear = false;                          ///< the levels on a line of T+1 logarithms; the timesteps stay
  std::optional<double> lowest = {}, highest = {};  ///< ends of `levels`; unset: those of the timesteps
};

/// Timesteps that may lie between training steps, and their ratios (Karras et al. 2022 as diffusers' Euler has it).
inline SolverLevels euler_levels(const NoiseSchedule& noise, const EulerLevelOptions& o) {
  const TrainingRatios table(noise);
  SolverLevels out;
  if (o.spacing == TimestepSpacing::kLinspace && o.num_steps > 1) {
    noise.timesteps(o.num_steps, o.spacing);  // the same limits
    const double stride = static_cast<double>(table.size() - 1) / (o.num_steps - 1);
    for (int k = 0; k < o.num_steps; ++k) out.timesteps.push_back(stride * (o.num_steps - 1 - k));
  } else {
    for (const std::int64_t t : noise.timesteps(o.num_steps, o.spacing))
      out.timesteps.push_back(static_cast<double>(t));
  }
  if (o.log_linear)
    out.ratios = spaced_ratios(LevelSpacing::kExponential, table.highest(), table.lowest(), o.num_steps + 1);
  else
    for (const double t : out.timesteps) out.ratios.push_back(table.at(t));
  if (o.levels != LevelSpacing::kTimesteps) {
    out.ratios = spaced_ratios(o.levels, o.highest.value_or(out.ratios.front()), o.lowest.value_or(out.ratios.back()),
                               o.num_steps);
    for (std::size_t k = 0; k < out.timesteps.size(); ++k) out.timesteps[k] = table.timestep(out.ratios[k]);
  }
  // T+1 logarithms have a last level already
  if (out.ratios.size() == out.timesteps.size())
    out.ratios.push_back(o.final_level == FinalLevel::kZero ? 0.0 : table.lowest());
  return out;
}

/// Of the start noise: y(0) = nu(0)*z has no signal's variance, y(0) = sqrt(1 + nu(0)^2)*z has it (as diffusers chooses
/// by the spacing); latent(0) = alpha(0)*y(0).
inline double euler_start_scale(const SamplerSchedule& schedule, TimestepSpacing spacing) {
  return spacing == TimestepSpacing::kLeading ? 1.0 : schedule.step(0).sigma;
}

}  // namespace reward_tuner
