// Euler's method with fresh noise in every step.
#pragma once
#include <cmath>
#include <cstddef>
#include <optional>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/samplers/common_checks.hpp>
#include <reward_tuner/samplers/solver_levels.hpp>

namespace reward_tuner {

/// Steps, guidance and noise levels of EulerAncestral.
struct EulerAncestralOptions {
  int num_steps = 50;     ///< T, steps of a rollout
  double guidance = 7.5;  ///< guidance scale; 1 and less: the condition alone, as diffusers has it
  std::optional<TimestepSpacing> spacing = std::nullopt;  ///< spread of the steps; unset: the model's own, or linspace
  LevelSpacing levels = LevelSpacing::kTimesteps;         ///< spread of the noise levels
  CleanClipping clipping = {};                            ///< treatment of the predicted clean sample
};
REWARD_TUNER_FIELDS(EulerAncestralOptions, num_steps, guidance, spacing, levels, clipping);

/// Euler's step down to nu'^2/nu and noise of nu'*sqrt(nu^2 - nu'^2)/nu (k-diffusion's sample_euler_ancestral): DDPM's
/// posterior at the noise levels of Euler. The last step has no noise.
class EulerAncestral {
 public:
  using Role = SamplerRole;
  using Options = EulerAncestralOptions;
  static constexpr std::string_view kName = "euler-ancestral";
  static constexpr bool kStochastic = true;

  explicit EulerAncestral(EulerAncestralOptions options = {}) : options_(options) {
    detail::check_common_options("EulerAncestral", options_);
  }

  double guidance() const { return options_.guidance; }
  const EulerAncestralOptions& options() const { return options_; }

  SamplerSchedule schedule(const NoiseSchedule& noise) const {
    const auto& config = noise.config();
    const auto spacing = options_.spacing.value_or(config.spacing.value_or(TimestepSpacing::kLinspace));
    const SolverLevels at =
        euler_levels(noise, {.num_steps = options_.num_steps, .spacing = spacing, .levels = options_.levels});
    check_levels(at, noise, "EulerAncestral");
    SamplerSchedule out{.steps = {}, .clipping = options_.clipping, .rederive_epsilon = true};
    for (std::size_t k = 0; k < at.timesteps.size(); ++k) {
      const double ratio = at.ratios[k], ratio_next = at.ratios[k + 1];
      const Level next = Level::of_ratio(ratio_next);
      SamplerStep step = make_step(at.timesteps[k], Level::of_ratio(ratio), next, config.prediction);
      step.direction = next.sigma * ratio_next / ratio;
      step.noise = next.sigma * std::sqrt(1 - ratio_next * ratio_next / (ratio * ratio));
      out.steps.push_back(step);
    }
    out.start_scale = euler_start_scale(out, spacing);
    return out;
  }

 private:
  EulerAncestralOptions options_;
};
static_assert(StochasticSampler<EulerAncestral>);

}  // namespace reward_tuner
