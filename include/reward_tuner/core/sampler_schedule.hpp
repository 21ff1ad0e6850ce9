// A sampler bound to a model: an immutable table of numbers with one row per step, which the engine reads.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

#include <reward_tuner/core/noise_schedule.hpp>

namespace reward_tuner {

/// The three factors of one step, latent(k+1) = latent*latent(k) + network*output + noise*z.
struct StepCoefficients {
  double latent = 0, network = 0, noise = 0;
};

/// One sampler step k. Everything is in double and refers to the network's own output space.
struct SamplerStep {
  double timestep = 0;          ///< the timestep input of the network; between two training steps for some samplers
  double alpha = 0, sigma = 0;  ///< signal and noise level of latent(k), see Level
  double alpha_next = 0;        ///< signal level of latent(k+1)
  double clean_latent = 0;      ///< x0 = clean_latent*x + clean_network*output
  double clean_network = 0;
  double epsilon_latent = 0;  ///< eps = epsilon_latent*x + epsilon_network*output
  double epsilon_network = 0;
  double direction = 0;  ///< latent(k+1) = alpha_next*x0 + direction*eps + history*(x0 - x0 of step k-1) + noise*z
  double noise = 0;
  double history = 0;  ///< of a solver of second order; 0 in step 0

  /// The step without clipping, folded into three factors (algorithms of DDIM Eq. 12 and DDPM Eq. 7 alike). The term
  /// -history*(x0 of step k-1) stays outside.
  StepCoefficients coefficients() const {
    return {(alpha_next + history) * clean_latent + direction * epsilon_latent,
            (alpha_next + history) * clean_network + direction * epsilon_network, noise};
  }
};

/// All steps k = 0 (noisiest) .. T-1, and how the predicted clean sample is clipped.
struct SamplerSchedule {
  std::vector<SamplerStep> steps;
  CleanClipping clipping;
  bool rederive_epsilon = false;  ///< recompute eps from the clipped x0 (DDIM only if told to, all others always)
  double start_scale = 1;         ///< latent(0) = start_scale * z

  int num_steps() const { return static_cast<int>(steps.size()); }
  const SamplerStep& step(int k) const { return steps.at(static_cast<std::size_t>(k)); }
  double timestep(int k) const { return step(k).timestep; }
  StepCoefficients coefficients(int k) const { return step(k).coefficients(); }
  /// Whether every step is linear in latent and output, so that `coefficients` describes it completely.
  bool linear() const { return clipping.kind == CleanClipping::Kind::kNone; }
  /// Whether step k continues with the clean prediction of the step before.
  bool has_history(int k) const { return k < num_steps() && step(k).history != 0; }
};

/// Fills the columns that only depend on the levels and on what the network predicts.
/// Errors: a v prediction at levels other than alpha^2 + sigma^2 = 1, a noise prediction without signal.
inline SamplerStep make_step(double timestep, const Level& level, const Level& next, PredictionType prediction) {
  SamplerStep s;
  s.timestep = timestep;
  s.alpha = level.alpha;
  s.sigma = level.sigma;
  s.alpha_next = next.alpha;
  switch (prediction) {
    case PredictionType::kEpsilon:
      REWARD_TUNER_CHECK(
          s.alpha > 0, "[Sampler] timestep ", timestep,
          " has no signal (zero terminal SNR): an epsilon prediction is singular there, use v_prediction");
      s.clean_latent = 1.0 / s.alpha;
      s.clean_network = -s.sigma / s.alpha;
      s.epsilon_network = 1.0;
      break;
    case PredictionType::kVPrediction:
      REWARD_TUNER_CHECK(std::abs(s.alpha * s.alpha + s.sigma * s.sigma - 1) < 1e-6, "[Sampler] timestep ", timestep,
                         ": a v prediction expected levels with alpha^2 + sigma^2 = 1, got ", s.alpha, " and ",
                         s.sigma);
      s.clean_latent = s.alpha;
      s.clean_network = -s.sigma;
      s.epsilon_latent = s.sigma;
      s.epsilon_network = s.alpha;
      break;
    case PredictionType::kSample:
      s.clean_network = 1.0;
      s.epsilon_latent = 1.0 / s.sigma;
      s.epsilon_network = -s.alpha / s.sigma;
      break;
    case PredictionType::kFlow:
      s.clean_latent = s.epsilon_latent = 1.0 / (s.alpha + s.sigma);
      s.clean_network = -s.sigma / (s.alpha + s.sigma);
      s.epsilon_network = s.alpha / (s.alpha + s.sigma);
      break;
  }
  return s;
}

/// The same for levels given as abar.
inline SamplerStep make_step(std::int64_t timestep, double abar, double abar_next, PredictionType prediction) {
  return make_step(static_cast<double>(timestep), Level::of_abar(abar), Level::of_abar(abar_next), prediction);
}

}  // namespace reward_tuner
