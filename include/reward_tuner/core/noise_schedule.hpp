// The noise levels a diffusion model was trained with, in double, and the conventions its sampler configuration
// carries.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/solver_config.hpp>

namespace reward_tuner {

/// What the network's output means (algorithms: eps, v = alpha*eps - sigma*x0, x0 itself, or the velocity eps - x0 of a
/// flow between data and noise). kFlow also says what the network was trained at, see NoiseSchedule.
enum class PredictionType { kEpsilon, kVPrediction, kSample, kFlow };
/// How beta grows over the training steps.
enum class BetaSchedule { kLinear, kScaledLinear, kSquaredCosine };

/// Variance of a DDPM step: the posterior's (fixed_small) or beta itself (fixed_large), Ho et al. 2020, section 3.2.
enum class DdpmVariance { kFixedSmall, kFixedLarge };

/// What is done to the predicted clean sample before it is used.
struct CleanClipping {
  enum class Kind { kNone, kRange, kDynamic };
  Kind kind = Kind::kNone;  ///< kRange clamps to [-range, range]; kDynamic is Imagen's dynamic thresholding
  double range = 1.0;       ///< kRange: half width
  double quantile = 0.995;  ///< kDynamic: share of |x0| that stays inside
  double max = 1.0;         ///< kDynamic: largest threshold

  bool operator==(const CleanClipping&) const = default;
};
REWARD_TUNER_FIELDS(CleanClipping, kind, range, quantile, max);

/// Errors, as those of `owner`: a number out of range, whether or not `kind` uses it.
inline void check_clipping(std::string_view owner, const CleanClipping& c) {
  REWARD_TUNER_CHECK(c.range > 0 && std::isfinite(c.range), "[", owner, "] clipping.range must be > 0, got ", c.range);
  REWARD_TUNER_CHECK(c.quantile >= 0 && c.quantile <= 1, "[", owner, "] clipping.quantile must be in [0, 1], got ",
                     c.quantile);
  REWARD_TUNER_CHECK(c.max > 0 && std::isfinite(c.max), "[", owner, "] clipping.max must be > 0, got ", c.max);
}

/// Signal and noise of a latent, alpha*x0 + sigma*eps: alpha^2 + sigma^2 = 1, or in a flow alpha + sigma = 1.
struct Level {
  double alpha = 1, sigma = 0;

  double ratio() const { return sigma / alpha; }
  static Level of_abar(double abar) { return {std::sqrt(abar), std::sqrt(1.0 - abar)}; }
  /// alpha^2 + sigma^2 = 1.
  static Level of_ratio(double ratio) {
    const double alpha = 1.0 / std::sqrt(1.0 + ratio * ratio);
    return {alpha, ratio * alpha};
  }
  /// alpha + sigma = 1, sigma = q.
  static Level of_flow(double q) { return {1.0 - q, q}; }
};

/// What a network was shown in one of its training steps.
struct TrainingLevel {
  std::int64_t timestep = 0;  ///< the time it was told
  Level level;                ///< signal and noise of its input
};

/// The scheduler part of a model folder. Defaults are Stable Diffusion 1.x's. A flow has num_train_steps, `prediction`
/// and `clipping` alone.
struct NoiseScheduleConfig {
  std::int64_t num_train_steps = 1000;                       ///< training steps, timesteps 0..num_train_steps-1
  double beta_start = 0.00085;                               ///< beta of timestep 0
  double beta_end = 0.012;                                   ///< beta of the last timestep
  BetaSchedule beta_schedule = BetaSchedule::kScaledLinear;  ///< growth of beta
  std::vector<double> trained_betas = {};                    ///< given betas; replace the schedule when not empty
  bool zero_terminal_snr = false;                            ///< rescale so that the last timestep is pure noise
  PredictionType prediction = PredictionType::kEpsilon;      ///< what the network predicts
  std::optional<TimestepSpacing> spacing = std::nullopt;     ///< spread of sampler steps; unset: the sampler's own
  std::int64_t steps_offset = 1;                             ///< added to leading timesteps
  bool final_alpha_one = false;                       ///< level after the last step: 1, or else that of timestep 0
  CleanClipping clipping = {};                        ///< treatment of the predicted clean sample
  DdpmVariance variance = DdpmVariance::kFixedSmall;  ///< which noise a DDPM step adds
  SolverConfig solver = {};                           ///< of samplers at noise levels of their own

  bool operator==(const NoiseScheduleConfig&) const = default;
};
REWARD_TUNER_FIELDS(NoiseScheduleConfig, num_train_steps, beta_start, beta_end, beta_schedule, trained_betas,
                    zero_terminal_snr, prediction, spacing, steps_offset, final_alpha_one, clipping, variance, solver);

/// Cumulative signal levels abar(timestep) in double. A regular value. With PredictionType::kFlow instead the levels of
/// a straight path from data to noise (rectified flow; Liu et al. 2023, Eq. 1), latent = (1 - q)*x0 + q*eps, whose
/// network is told num_train_steps*q, q in (0, 1].
/// Errors: settings out of range, of a flow those that speak of betas, and whatever asks a flow for abar or for
/// timesteps that have one.
class NoiseSchedule {
 public:
  explicit NoiseSchedule(NoiseScheduleConfig config = {}) : config_(std::move(config)) {
    const auto n = config_.num_train_steps;
    REWARD_TUNER_CHECK(n > 0, "[NoiseSchedule] num_train_steps must be > 0, got ", n);
    REWARD_TUNER_CHECK(n <= kMaxTrainSteps, "[NoiseSchedule] num_train_steps must be at most ", kMaxTrainSteps,
                       ", got ", n);
    check_clipping("NoiseSchedule", config_.clipping);
    check_options(config_.solver);
    REWARD_TUNER_CHECK(config_.steps_offset >= 0 && config_.steps_offset <= kMaxTrainSteps,
                       "[NoiseSchedule] steps_offset must be in 0..", kMaxTrainSteps, ", got ", config_.steps_offset);
    for (const auto& [name, beta] : {std::pair("beta_start", config_.beta_start), {"beta_end", config_.beta_end}})
      REWARD_TUNER_CHECK(std::isfinite(beta), "[NoiseSchedule] ", name, " must be finite, got ", beta);
    if (flow()) {
      const NoiseScheduleConfig all{
          .num_train_steps = n, .prediction = PredictionType::kFlow, .clipping = config_.clipping};
      REWARD_TUNER_CHECK(config_ == all,
                         "[NoiseSchedule] the levels of a flow are 1 - q and q: expected num_train_steps, prediction "
                         "and clipping alone, got settings of betas or of samplers for them");
      return;
    }
    std::vector<double> betas = config_.trained_betas.empty() ? made_betas(config_) : config_.trained_betas;
    REWARD_TUNER_CHECK(static_cast<std::int64_t>(betas.size()) == n, "[NoiseSchedule] expected ", n,
                       " trained betas, got ", betas.size());
    abar_.resize(betas.size());
    double product = 1.0;
    for (std::size_t i = 0; i < betas.size(); ++i) {
      REWARD_TUNER_CHECK(betas[i] > 0 && betas[i] <= 1, "[NoiseSchedule] every beta must be in (0, 1], got ", betas[i],
                         " at timestep ", i, config_.trained_betas.empty() ? "" : " of trained_betas");
      abar_[i] = product *= 1.0 - betas[i];
    }
    if (config_.zero_terminal_snr) rescale_to_zero_terminal_snr();
  }

  /// far above any model's; a damaged file must not make us allocate
  static constexpr std::int64_t kMaxTrainSteps = 1'000'000;

  const NoiseScheduleConfig& config() const { return config_; }
  /// Whether the levels are those of a flow.
  bool flow() const { return config_.prediction == PredictionType::kFlow; }
  /// abar at a training timestep in 0..num_train_steps-1.
  double abar(std::int64_t timestep) const {
    check_betas();
    return abar_.at(static_cast<std::size_t>(timestep));
  }
  /// abar after the last sampler step, where no earlier timestep exists.
  double final_abar() const {
    check_betas();
    return config_.final_alpha_one ? 1.0 : abar_.front();
  }
  /// Training step 0 (the cleanest) .. num_train_steps-1: timestep and abar of the same number, or in a flow the
  /// timestep step+1 and q = (step+1)/num_train_steps, so that the last step is noise alone.
  TrainingLevel training(std::int64_t step) const {
    if (!flow()) return {step, Level::of_abar(abar(step))};
    const std::int64_t n = config_.num_train_steps;
    REWARD_TUNER_CHECK(step >= 0 && step < n, "[NoiseSchedule] training step must be in 0..", n - 1, ", got ", step);
    return {step + 1, Level::of_flow(static_cast<double>(step + 1) / static_cast<double>(n))};
  }

  /// Sampler timesteps from noisy to clean for `num_steps` steps.
  std::vector<std::int64_t> timesteps(std::int64_t num_steps, TimestepSpacing spacing) const {
    check_betas();
    const std::int64_t n = config_.num_train_steps;
    REWARD_TUNER_CHECK(num_steps >= 1 && num_steps <= n, "[Sampler] num_steps must be in 1..", n,
                       " (the model's training steps), got ", num_steps);
    std::vector<std::int64_t> out(static_cast<std::size_t>(num_steps));
    for (std::int64_t k = 0; k < num_steps; ++k) {
      const std::int64_t from_clean = num_steps - 1 - k;
      std::int64_t t = 0;
      switch (spacing) {
        case TimestepSpacing::kLeading:
          t = from_clean * (n / num_steps) + config_.steps_offset;
          break;
        case TimestepSpacing::kTrailing:
          t = round_half_even(static_cast<double>(n) -
                              static_cast<double>(k) * (static_cast<double>(n) / static_cast<double>(num_steps))) -
              1;
          break;
        case TimestepSpacing::kLinspace:
          t = num_steps == 1 ? 0
                             : round_half_even(static_cast<double>(from_clean) *
                                               (static_cast<double>(n - 1) / static_cast<double>(num_steps - 1)));
          break;
      }
      REWARD_TUNER_CHECK(t >= 0 && t < n, "[Sampler] timestep ", t, " lies outside the model's 0..", n - 1,
                         "; lower num_steps or steps_offset (", config_.steps_offset, ")");
      out[static_cast<std::size_t>(k)] = t;
    }
    return out;
  }

 private:
  void check_betas() const {
    REWARD_TUNER_CHECK(!flow(),
                       "[NoiseSchedule] a flow has no abar: expected a network trained on betas, got one of "
                       "PredictionType::kFlow, which FlowEuler samples");
  }
  static std::int64_t round_half_even(double x) { return static_cast<std::int64_t>(std::nearbyint(x)); }

  static std::vector<double> made_betas(const NoiseScheduleConfig& c) {
    const auto n = static_cast<std::size_t>(c.num_train_steps);
    std::vector<double> betas(n);
    const auto lerp = [n](double from, double to, std::size_t i) {
      return n == 1 ? from : from + (to - from) * static_cast<double>(i) / static_cast<double>(n - 1);
    };
    // Nichol & Dhariwal 2021, Eq. 17
    const auto cosine = [n](std::size_t i) {
      const double c1 =
          std::cos((static_cast<double>(i) / static_cast<double>(n) + 0.008) / 1.008 * std::numbers::pi / 2);
      return c1 * c1;
    };
    for (std::size_t i = 0; i < n; ++i) {
      switch (c.beta_schedule) {
        case BetaSchedule::kLinear:
          betas[i] = lerp(c.beta_start, c.beta_end, i);
          break;
        case BetaSchedule::kScaledLinear: {
          const double root = lerp(std::sqrt(c.beta_start), std::sqrt(c.beta_end), i);
          betas[i] = root * root;
          break;
        }
        case BetaSchedule::kSquaredCosine:
          betas[i] = std::min(1.0 - cosine(i + 1) / cosine(i), 0.999);
          break;
      }
    }
    return betas;
  }

  // Lin et al. 2024, Algorithm 1: shift and stretch sqrt(abar) so that it ends at 0
  void rescale_to_zero_terminal_snr() {
    const double first = std::sqrt(abar_.front()), last = std::sqrt(abar_.back());
    REWARD_TUNER_CHECK(first > last,
                       "[NoiseSchedule] rescaling to zero terminal signal expected levels that fall from the first "
                       "timestep to the last, got ",
                       first, " and ", last);
    for (double& abar : abar_) {
      const double root = (std::sqrt(abar) - last) * first / (first - last);
      abar = root * root;
    }
  }

  NoiseScheduleConfig config_;
  std::vector<double> abar_;  // of a flow empty
};

}  // namespace reward_tuner
