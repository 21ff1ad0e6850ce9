// Euler's method on a flow between data and noise, the sampler of rectified-flow models.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/samplers/common_checks.hpp>

namespace reward_tuner {

/// Where the levels q(0) .. q(T-1) lie before the shift.
enum class FlowSpacing {
  kEven,  ///< 1, (T-1)/T .. 1/T: steps of equal length to q = 0 (what diffusers' FLUX pipeline passes)
  /// evenly from the noisiest level of the training, 1, to its cleanest, 1/num_train_steps, which `shift` (not `mu`)
  /// has shifted already, so that it shifts twice (diffusers' class by itself, and its Stable Diffusion 3 pipeline)
  kTraining,
};

/// Steps, guidance and levels of FlowEuler.
struct FlowEulerOptions {
  int num_steps = 28;                        ///< T, steps of a rollout (diffusers' Stable Diffusion 3 pipeline: 28)
  double guidance = 7.0;                     ///< guidance scale; 1 and less: the condition alone (the same: 7)
  FlowSpacing spacing = FlowSpacing::kEven;  ///< spread of the levels before the shift
  double shift = 1.0;                        ///< S > 0, above 1 more steps at high noise (Stable Diffusion 3: 3)
  /// S = exp(mu) instead, for a shift that grows with the latents (FLUX: 0.5 + 0.65*(N - 256)/3840 of N tokens)
  std::optional<double> mu = std::nullopt;
  std::optional<CleanClipping> clipping = std::nullopt;  ///< of the predicted clean sample; unset: the model's own
};
REWARD_TUNER_FIELDS(FlowEulerOptions, num_steps, guidance, spacing, shift, mu, clipping);

/// latent(k+1) = latent(k) + (q(k+1) - q(k))*v with v = eps - x0 and latent = (1 - q)*x0 + q*eps, q(T) = 0 (rectified
/// flow; Liu et al. 2023). Levels are shifted by q <- S*q/(1 + (S-1)*q) (Esser et al. 2024, Eq. 23); the
/// network is told num_train_steps*q, which need not be whole. latent(0) is noise alone. No step has noise, so that
/// objectives on log-probabilities cannot take it. With clipping v is that of the clipped x0.
/// Errors: options out of range, a network that is no flow (PredictionType::kFlow), levels that rounding makes equal.
class FlowEuler {
 public:
  using Role = SamplerRole;
  using Options = FlowEulerOptions;
  static constexpr std::string_view kName = "flow-euler";

  explicit FlowEuler(FlowEulerOptions options = {}) : options_(options) {
    detail::check_common_options("FlowEuler", options_);
    REWARD_TUNER_CHECK(std::isfinite(options_.shift) && options_.shift > 0,
                       "[FlowEuler] shift must be finite and > 0, got ", options_.shift);
    REWARD_TUNER_CHECK(!options_.mu || (std::isfinite(shift()) && shift() > 0),
                       "[FlowEuler] mu expected a finite exp(mu) > 0, got mu ", *options_.mu);
    REWARD_TUNER_CHECK(!options_.mu || options_.shift == 1,
                       "[FlowEuler] mu stands in place of shift: expected one of them, got ", *options_.mu, " and ",
                       options_.shift);
  }

  double guidance() const { return options_.guidance; }
  const FlowEulerOptions& options() const { return options_; }

  SamplerSchedule schedule(const NoiseSchedule& noise) const {
    const auto& config = noise.config();
    REWARD_TUNER_CHECK(noise.flow(),
                       "[FlowEuler] expected a flow network (PredictionType::kFlow), got one trained on betas");
    const std::vector<double> q = levels(noise.training(0).level.sigma);
    const auto equal = std::adjacent_find(q.begin(), q.end(), [](double a, double b) { return !(a > b); });
    REWARD_TUNER_CHECK(equal == q.end(), "[FlowEuler] expected noise levels that fall from step to step, got ", *equal,
                       " and ", *(equal + 1), " at steps ", equal - q.begin(), " and ", equal - q.begin() + 1,
                       ": bring shift nearer to 1 (mu to 0)");
    SamplerSchedule out{.steps = {}, .clipping = options_.clipping.value_or(config.clipping), .rederive_epsilon = true};
    for (std::size_t k = 0; k + 1 < q.size(); ++k) {
      SamplerStep step = make_step(static_cast<double>(config.num_train_steps) * q[k], Level::of_flow(q[k]),
                                   Level::of_flow(q[k + 1]), config.prediction);
      step.direction = q[k + 1];
      out.steps.push_back(step);
    }
    return out;
  }

 private:
  double shift() const { return options_.mu ? std::exp(*options_.mu) : options_.shift; }
  double shifted(double q) const { return shift() * q / (shift() * q + (1.0 - q)); }

  /// q(0) .. q(T); `cleanest` is that of the training.
  std::vector<double> levels(double cleanest) const {
    const auto T = static_cast<std::size_t>(options_.num_steps);
    const double end = options_.mu ? cleanest : shifted(cleanest);
    std::vector<double> q;
    for (std::size_t k = 0; k < T; ++k) {
      const auto at = static_cast<double>(k), of = static_cast<double>(T);
      if (options_.spacing == FlowSpacing::kEven) q.push_back(shifted((of - at) / of));
      else q.push_back(shifted(T == 1 ? 1.0 : std::lerp(1.0, end, at / (of - 1))));
    }
    q.push_back(0.0);
    return q;
  }

  FlowEulerOptions options_;
};
static_assert(SamplerPolicy<FlowEuler>);

}  // namespace reward_tuner
