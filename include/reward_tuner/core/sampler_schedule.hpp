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
  std::int64_t timestep = 0;    ///< the timestep input of the network
  double alpha = 0, sigma = 0;  ///< signal and noise level of latent(k), alpha^2 + sigma^2 = 1
  double alpha_next = 0;        ///< signal level of latent(k+1)
  double clean_latent = 0;      ///< x0 = clean_latent*x + clean_network*output
  double clean_network = 0;
  double epsilon_latent = 0;  ///< eps = epsilon_latent*x + epsilon_network*output
  double epsilon_network = 0;
  double direction = 0;  ///< latent(k+1) = alpha_next*x0 + direction*eps + noise*z
  double noise = 0;

  /// The step without clipping, folded into three factors (algorithms of DDIM Eq. 12 and DDPM Eq. 7 alike).
  StepCoefficients coefficients() const {
    return {alpha_next * clean_latent + direction * epsilon_latent,
            alpha_next * clean_network + direction * epsilon_network, noise};
  }
};

/// All steps k = 0 (noisiest) .. T-1, and how the predicted clean sample is clipped.
struct SamplerSchedule {
  std::vector<SamplerStep> steps;
  CleanClipping clipping;
  bool rederive_epsilon = false;  ///< recompute eps from the clipped x0 (DDPM always; DDIM's use_clipped_model_output)

  int num_steps() const { return static_cast<int>(steps.size()); }
  const SamplerStep& step(int k) const { return steps.at(static_cast<std::size_t>(k)); }
  std::int64_t timestep(int k) const { return step(k).timestep; }
  StepCoefficients coefficients(int k) const { return step(k).coefficients(); }
  /// Whether every step is linear in latent and output, so that `coefficients` describes it completely.
  bool linear() const { return clipping.kind == CleanClipping::Kind::kNone; }
};

/// Fills the columns that only depend on the levels and on what the network predicts.
inline SamplerStep make_step(std::int64_t timestep, double abar, double abar_next, PredictionType prediction) {
  SamplerStep s;
  s.timestep = timestep;
  s.alpha = std::sqrt(abar);
  s.sigma = std::sqrt(1.0 - abar);
  s.alpha_next = std::sqrt(abar_next);
  switch (prediction) {
    case PredictionType::kEpsilon:
      REWARD_TUNER_CHECK(
          abar > 0, "[Sampler] timestep ", timestep,
          " has no signal (zero terminal SNR): an epsilon prediction is singular there, use v_prediction");
      s.clean_latent = 1.0 / s.alpha;
      s.clean_network = -s.sigma / s.alpha;
      s.epsilon_network = 1.0;
      break;
    case PredictionType::kVPrediction:
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
  }
  return s;
}

}  // namespace reward_tuner
