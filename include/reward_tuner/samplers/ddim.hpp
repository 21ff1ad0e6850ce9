// DDIM with eta in [0, 1]: deterministic at 0, the DDPM posterior at 1.
#pragma once
#include <cmath>
#include <optional>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/samplers/common_checks.hpp>

namespace reward_tuner {

/// Steps, guidance and noise of Ddim; what is unset is the model's own.
struct DdimOptions {
  int num_steps = 50;  ///< T, steps of a rollout (DRTune-paper 4.1: 50)
  double guidance =
      7.5;  ///< guidance scale; 1 and less: the condition alone, as diffusers has it (DRTune-paper 4.1: 7.5)
  /// noise share in [0, 1] (Song et al. 2021, Eq. 16); unset: 0, or 1 with objectives on log-probabilities
  std::optional<double> eta = std::nullopt;
  std::optional<TimestepSpacing> spacing = std::nullopt;  ///< spread of the steps; unset: the model's own, or leading
  /// level after the last step is exactly clean; unset: the model's own
  std::optional<bool> final_alpha_one = std::nullopt;
  /// treatment of the predicted clean sample; unset: the model's own
  std::optional<CleanClipping> clipping = std::nullopt;
  bool use_clipped_output = false;  ///< recompute the noise direction from the clipped sample
};
REWARD_TUNER_FIELDS(DdimOptions, num_steps, guidance, eta, spacing, final_alpha_one, clipping, use_clipped_output);

/// latent(k+1) = alpha' * x0 + sqrt(1 - abar' - c^2) * eps + c * z,  c = eta * sqrt((1-abar')/(1-abar) * (1 -
/// abar/abar'))   (Song et al. 2021, Eq. 12 and 16).
class Ddim {
 public:
  using Role = SamplerRole;
  using Options = DdimOptions;
  static constexpr std::string_view kName = "ddim";
  static constexpr bool kStochastic = true;  ///< with eta > 0

  explicit Ddim(DdimOptions options = {}) : options_(options) {
    detail::check_common_options("Ddim", options_);
    REWARD_TUNER_CHECK(eta() >= 0 && eta() <= 1, "[Ddim] eta must be in [0, 1], got ", eta());
  }

  double guidance() const { return options_.guidance; }
  double eta() const { return options_.eta.value_or(0.0); }
  /// The options with eta set to give noise in every step, unless eta was set.
  static DdimOptions stochastic(DdimOptions options) {
    if (!options.eta) options.eta = 1.0;
    return options;
  }
  const DdimOptions& options() const { return options_; }

  SamplerSchedule schedule(const NoiseSchedule& noise) const {
    const auto& config = noise.config();
    const auto times = noise.timesteps(options_.num_steps,
                                       options_.spacing.value_or(config.spacing.value_or(TimestepSpacing::kLeading)));
    const double final_abar = options_.final_alpha_one.value_or(config.final_alpha_one) ? 1.0 : noise.abar(0);
    SamplerSchedule out{.steps = {},
                        .clipping = options_.clipping.value_or(config.clipping),
                        .rederive_epsilon = options_.use_clipped_output};
    for (const std::int64_t t : times) {
      // also for trailing spacing, as diffusers does
      const std::int64_t next = t - config.num_train_steps / options_.num_steps;
      const double abar = noise.abar(t), abar_next = next >= 0 ? noise.abar(next) : final_abar;
      SamplerStep step = make_step(t, abar, abar_next, config.prediction);
      const double variance = (1 - abar_next) / (1 - abar) * (1 - abar / abar_next);
      // leading steps with offset 0 end in abar == abar'
      step.noise = eta() * std::sqrt(variance > 0 ? variance : 0.0);
      const double rest = 1 - abar_next - step.noise * step.noise;
      step.direction = std::sqrt(rest > 0 ? rest : 0.0);  // rounding may leave -1e-17 at eta = 1
      out.steps.push_back(step);
    }
    return out;
  }

 private:
  DdimOptions options_;
};
static_assert(SamplerPolicy<Ddim>);

}  // namespace reward_tuner
