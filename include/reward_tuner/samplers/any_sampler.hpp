// A sampler chosen at run time, for programs that pick it by name.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/ddpm.hpp>
#include <reward_tuner/samplers/dpm_solver.hpp>
#include <reward_tuner/samplers/euler.hpp>
#include <reward_tuner/samplers/euler_ancestral.hpp>

namespace reward_tuner {

/// Options of AnySampler: which sampler, and the options that programs offer.
struct AnySamplerOptions {
  std::string name = "ddim";  ///< "ddim", "ddpm", "dpm++", "sde-dpm++", "euler" or "euler-ancestral"
  int num_steps = 50;         ///< T, steps of a rollout
  double guidance = 7.5;      ///< classifier-free guidance scale; 1 and less: the condition alone
  /// ddim only: noise share in [0, 1]; unset: 0, or 1 with objectives on log-probabilities
  std::optional<double> eta = std::nullopt;
  std::optional<TimestepSpacing> spacing = std::nullopt;  ///< spread of the steps; unset: the model's or the sampler's
  /// all but ddim and ddpm: spread of the noise levels; unset: the model's, or timesteps
  std::optional<LevelSpacing> levels = std::nullopt;
  /// dpm++ and sde-dpm++: 1 or 2; unset: the model's, or 2; of sde-dpm++ with objectives on log-probabilities 1
  std::optional<int> order = std::nullopt;
  std::optional<SolverType> type =
      std::nullopt;  ///< dpm++ and sde-dpm++: form of order 2; unset: the model's, or midpoint
};
REWARD_TUNER_FIELDS(AnySamplerOptions, name, num_steps, guidance, eta, spacing, levels, order, type);

/// A sampler by name; whatever is not among its options is taken from the model. Errors: an unknown name, an option
/// that the sampler does not have, and those of the sampler.
class AnySampler {
 public:
  using Role = SamplerRole;
  using Options = AnySamplerOptions;
  static constexpr std::string_view kName = "any_sampler";
  static constexpr bool kStochastic = true;  ///< ddpm, euler-ancestral, ddim with eta > 0, sde-dpm++ of order 1
  static constexpr std::string_view kSdeName = "sde-dpm++";

  explicit AnySampler(AnySamplerOptions options = {}) : options_(std::move(options)), held_(make(options_)) {}

  std::string_view name() const { return options_.name; }
  double guidance() const { return options_.guidance; }
  /// The options with noise and a density in every step, where the sampler has that and it was left open.
  static AnySamplerOptions stochastic(AnySamplerOptions options) {
    if (!options.eta && options.name == Ddim::kName) options.eta = 1.0;
    if (!options.order && options.name == kSdeName) options.order = 1;
    return options;
  }
  const AnySamplerOptions& options() const { return options_; }
  SamplerSchedule schedule(const NoiseSchedule& noise) const {
    return std::visit([&](const auto& sampler) { return sampler.schedule(noise); }, held_);
  }

 private:
  using Held = std::variant<Ddim, Ddpm, DpmSolver, Euler, EulerAncestral>;
  static Held make(const AnySamplerOptions& o) {
    const auto has = [&](const char* option, bool given, bool known) {
      REWARD_TUNER_CHECK(!given || known, "[Sampler] ", option, " cannot be combined with ", o.name);
    };
    const bool ddim = o.name == Ddim::kName, ddpm = o.name == Ddpm::kName, sde = o.name == kSdeName,
               dpm = sde || o.name == DpmSolver::kName, euler = o.name == Euler::kName,
               ancestral = o.name == EulerAncestral::kName;
    REWARD_TUNER_CHECK(ddim || ddpm || dpm || euler || ancestral,
                       "[Sampler] expected \"ddim\", \"ddpm\", \"dpm++\", \"sde-dpm++\", \"euler\" or "
                       "\"euler-ancestral\", got \"",
                       o.name, "\"");
    has("eta", o.eta.value_or(0) != 0, ddim);
    has("levels", o.levels.has_value(), !ddim && !ddpm);
    has("order", o.order.has_value(), dpm);
    has("type", o.type.has_value(), dpm);
    const int T = o.num_steps;
    if (ddim) return Ddim({.num_steps = T, .guidance = o.guidance, .eta = o.eta, .spacing = o.spacing});
    if (ddpm) return Ddpm({.num_steps = T, .guidance = o.guidance, .spacing = o.spacing});
    if (euler) return Euler({.num_steps = T, .guidance = o.guidance, .spacing = o.spacing, .levels = o.levels});
    if (ancestral)
      return EulerAncestral({.num_steps = T,
                             .guidance = o.guidance,
                             .spacing = o.spacing,
                             .levels = o.levels.value_or(LevelSpacing::kTimesteps)});
    return DpmSolver({.num_steps = T,
                      .guidance = o.guidance,
                      .noise = sde,
                      .order = o.order,
                      .type = o.type,
                      .spacing = o.spacing,
                      .levels = o.levels});
  }

  AnySamplerOptions options_;
  Held held_;
};
static_assert(SamplerPolicy<AnySampler>);

}  // namespace reward_tuner
