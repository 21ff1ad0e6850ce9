// Euler's method on the probability flow, the default sampler of Stable Diffusion XL.
#pragma once
#include <cstddef>
#include <optional>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/samplers/common_checks.hpp>
#include <reward_tuner/samplers/solver_levels.hpp>

namespace reward_tuner {

/// Steps, guidance and noise levels of Euler; what is unset is the model's own.
struct EulerOptions {
  int num_steps = 50;     ///< T, steps of a rollout
  double guidance = 7.5;  ///< guidance scale; 1 and less: the condition alone, as diffusers has it
  std::optional<TimestepSpacing> spacing = std::nullopt;  ///< spread of the steps; unset: the model's own, or linspace
  std::optional<LevelSpacing> levels =
      std::nullopt;  ///< spread of the noise levels; unset: the model's own, or timesteps
  std::optional<FinalLevel> final_level = std::nullopt;  ///< after the last step; unset: the model's own, or zero
  CleanClipping clipping = {};                           ///< treatment of the predicted clean sample
};
REWARD_TUNER_FIELDS(EulerOptions, num_steps, guidance, spacing, levels, final_level, clipping);

/// y(k+1) = y + (nu' - nu) * (y - x0)/nu in y = latent/alpha with nu = sigma/alpha (Karras et al. 2022, Alg. 1 without
/// the second evaluation): DDIM's step at eta 0, at noise levels between those of the training. Latents keep unit
/// variance, so that the network's input is the latent itself. After a lowest final level the sample is y, as diffusers
/// hands it back.
class Euler {
 public:
  using Role = SamplerRole;
  using Options = EulerOptions;
  static constexpr std::string_view kName = "euler";

  explicit Euler(EulerOptions options = {}) : options_(options) { detail::check_common_options("Euler", options_); }

  double guidance() const { return options_.guidance; }
  const EulerOptions& options() const { return options_; }

  SamplerSchedule schedule(const NoiseSchedule& noise) const {
    const auto& config = noise.config();
    const auto& own = config.solver;
    const auto spacing = options_.spacing.value_or(config.spacing.value_or(TimestepSpacing::kLinspace));
    const SolverLevels at =
        euler_levels(noise, {.num_steps = options_.num_steps,
                             .spacing = spacing,
                             .levels = options_.levels.value_or(own.levels.value_or(LevelSpacing::kTimesteps)),
                             .final_level = options_.final_level.value_or(own.final_level.value_or(FinalLevel::kZero)),
                             .log_linear = own.log_linear.value_or(false),
                             .lowest = own.lowest,
                             .highest = own.highest});
    check_levels(at, noise, "Euler");
    SamplerSchedule out{.steps = {}, .clipping = options_.clipping, .rederive_epsilon = true};
    for (std::size_t k = 0; k < at.timesteps.size(); ++k) {
      const bool last = k + 1 == at.timesteps.size();
      const Level next = Level::of_ratio(at.ratios[k + 1]);
      SamplerStep step = make_step(at.timesteps[k], Level::of_ratio(at.ratios[k]), next, config.prediction);
      step.direction = next.sigma;
      if (last) {
        step.alpha_next = 1;
        step.direction = at.ratios[k + 1];
      }
      out.steps.push_back(step);
    }
    out.start_scale = euler_start_scale(out, spacing);
    return out;
  }

 private:
  EulerOptions options_;
};
static_assert(SamplerPolicy<Euler>);

}  // namespace reward_tuner
