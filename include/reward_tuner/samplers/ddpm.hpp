// DDPM ancestral sampling over any subset of the training steps.
#pragma once
#include <cmath>
#include <cstddef>
#include <optional>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/samplers/common_checks.hpp>

namespace reward_tuner {

/// Steps, guidance and variance of Ddpm; what is unset is the model's own.
struct DdpmOptions {
  int num_steps = 50;  ///< T, steps of a rollout (DRTune-paper 4.1: 50)
  double guidance =
      7.5;  ///< guidance scale; 1 and less: the condition alone, as diffusers has it (DRTune-paper 4.1: 7.5)
  std::optional<DdpmVariance> variance = std::nullopt;    ///< which variance the noise has; unset: the model's own
  std::optional<TimestepSpacing> spacing = std::nullopt;  ///< spread of the steps; unset: the model's own, or leading
  /// treatment of the predicted clean sample; unset: the model's own
  std::optional<CleanClipping> clipping = std::nullopt;
};
REWARD_TUNER_FIELDS(DdpmOptions, num_steps, guidance, variance, spacing, clipping);

/// Posterior mean (Ho et al. 2020, Eq. 7) with abar taken at consecutive sampler steps; the step after the last is
/// exactly clean.
class Ddpm {
 public:
  using Role = SamplerRole;
  using Options = DdpmOptions;
  static constexpr std::string_view kName = "ddpm";
  static constexpr bool kStochastic = true;

  explicit Ddpm(DdpmOptions options = {}) : options_(options) { detail::check_common_options("Ddpm", options_); }

  double guidance() const { return options_.guidance; }
  const DdpmOptions& options() const { return options_; }

  SamplerSchedule schedule(const NoiseSchedule& noise) const {
    const auto& config = noise.config();
    const auto times = noise.timesteps(options_.num_steps,
                                       options_.spacing.value_or(config.spacing.value_or(TimestepSpacing::kLeading)));
    // The posterior mean is written in x0 and x; seen from (x0, eps) it always uses the eps that belongs to the clipped
    // x0.
    const bool large = options_.variance.value_or(config.variance) == DdpmVariance::kFixedLarge;
    SamplerSchedule out{.steps = {}, .clipping = options_.clipping.value_or(config.clipping), .rederive_epsilon = true};
    for (std::size_t k = 0; k < times.size(); ++k) {
      const double abar = noise.abar(times[k]), abar_next = k + 1 < times.size() ? noise.abar(times[k + 1]) : 1.0;
      const double ratio = abar / abar_next;  // R
      SamplerStep step = make_step(times[k], abar, abar_next, config.prediction);
      step.direction = std::sqrt(ratio) * (1 - abar_next) / std::sqrt(1 - abar);  // coefficient of x, times sigma
      const double variance = large ? 1 - ratio : (1 - abar_next) / (1 - abar) * (1 - ratio);
      step.noise = times[k] > 0 ? std::sqrt(variance) : 0.0;
      out.steps.push_back(step);
    }
    return out;
  }

 private:
  DdpmOptions options_;
};
static_assert(SamplerPolicy<Ddpm>);

}  // namespace reward_tuner
