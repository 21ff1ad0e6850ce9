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

namespace reward_tuner {

/// Options of AnySampler: those that Ddim and Ddpm share, and which of the two.
struct AnySamplerOptions {
  std::string name = "ddim";  ///< "ddim" or "ddpm"
  int num_steps = 50;         ///< T, steps of a rollout
  double guidance = 7.5;      ///< classifier-free guidance scale; 1 and less: the condition alone
  /// ddim only: noise share in [0, 1]; unset: 0, or 1 with objectives on log-probabilities
  std::optional<double> eta = std::nullopt;
};
REWARD_TUNER_FIELDS(AnySamplerOptions, name, num_steps, guidance, eta);

/// Ddim or Ddpm by name; whatever is not among its options is taken from the model. Errors: an unknown name, eta
/// together with "ddpm", and those of the sampler.
class AnySampler {
 public:
  using Role = SamplerRole;
  using Options = AnySamplerOptions;
  static constexpr std::string_view kName = "any_sampler";
  static constexpr bool kStochastic = true;  ///< ddpm, or ddim with eta > 0

  explicit AnySampler(AnySamplerOptions options = {}) : options_(std::move(options)), held_(make(options_)) {}

  std::string_view name() const { return options_.name; }
  double guidance() const { return options_.guidance; }
  /// The options with eta set to give noise in every step, unless eta was set.
  static AnySamplerOptions stochastic(AnySamplerOptions options) {
    if (!options.eta && options.name == Ddim::kName) options.eta = 1.0;
    return options;
  }
  const AnySamplerOptions& options() const { return options_; }
  SamplerSchedule schedule(const NoiseSchedule& noise) const {
    return std::visit([&](const auto& sampler) { return sampler.schedule(noise); }, held_);
  }

 private:
  using Held = std::variant<Ddim, Ddpm>;
  static Held make(const AnySamplerOptions& o) {
    if (o.name == Ddim::kName) return Ddim({.num_steps = o.num_steps, .guidance = o.guidance, .eta = o.eta});
    REWARD_TUNER_CHECK(o.name == Ddpm::kName, "[Sampler] expected \"ddim\" or \"ddpm\", got \"", o.name, "\"");
    REWARD_TUNER_CHECK(o.eta.value_or(0) == 0, "[Sampler] eta cannot be combined with ddpm, expected 0 or unset, got ",
                       o.eta.value_or(0));
    return Ddpm({.num_steps = o.num_steps, .guidance = o.guidance});
  }

  AnySamplerOptions options_;
  Held held_;
};
static_assert(SamplerPolicy<AnySampler>);

}  // namespace reward_tuner
