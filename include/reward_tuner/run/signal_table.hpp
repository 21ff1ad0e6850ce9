// What of a gradient is signal and what is noise, step by step: estimates with intervals from independent batches.
#pragma once
#include <cstdint>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/core/round_options.hpp>
#include <reward_tuner/core/sampler_schedule.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// Gradients of the mean reward by P trained numbers, of B independent batches, through each of T steps alone: what
/// step_gradients() measures.
struct StepGradients {
  SamplerSchedule schedule = {};  ///< T steps
  std::int64_t images = 0;        ///< of a batch
  double reward = 0;              ///< mean of all images
  Tensor policy = {};             ///< [B,T,P] by log-probabilities; 0 at steps without noise
  Tensor pathwise = {};  ///< [B,T,P] through reward, decoder and sampler; undefined without the reward's gradient
};

/// An estimate with its 95% interval.
struct Estimate {
  double value = 0, low = 0, high = 0;
};

/// A step alone.
struct StepSignal {
  int step = 0;
  double timestep = 0;
  double quietness = 0;          ///< |b|/c: the policy gradient's random size; infinite without noise
  Estimate pathwise = {};        ///< squared norm of the gradient through this step
  Estimate pathwise_share = {};  ///< of the whole gradient: the projection on it; all sum to 1, if it is seen
  Estimate signal = {};          ///< squared norm of the policy gradient's mean
  Estimate noise = {};           ///< trace of the policy gradient's covariance, of one image
  Estimate noise_share = {};     ///< of the sum over steps
  Estimate images = {};          ///< how many images make the noise as large as the signal; infinite: not seen
};

/// All steps together, as an objective on log-probabilities adds them up.
struct WeightedSignal {
  StepWeights weights = StepWeights::kEqual;
  int skip_last = 0;     ///< last steps left out
  Estimate signal = {};  ///< squared norm of the mean of sum_k weight_k * gradient_k
  Estimate noise = {};   ///< trace of its covariance, of one image
  Estimate images = {};  ///< as above
  Estimate cosine = {};  ///< of its mean with the whole pathwise gradient; infinite or NaN: not seen
};

/// The table. With a pathwise gradient every signal is taken from it: its mean is the policy gradient's, step by step,
/// and its noise is smaller.
struct SignalTable {
  std::int64_t batches = 0, images = 0;  ///< in all
  double reward = 0;                     ///< mean
  bool pathwise = false;
  std::vector<StepSignal> steps = {};
  std::vector<WeightedSignal> weightings = {};
};

/// Estimates from products of different batches, which have no bias of the noise, and of each batch with itself.
/// With g_b the gradient of batch b of n images:
///   signal = mean over b != b' of <g_b, g_b'>,  noise = n * (mean over b of <g_b, g_b> - signal),
///   images = noise / signal.
/// Intervals by the jackknife over batches; that of `images` from the signal's.
/// Cost: (B*T)^2*P products, in double.
/// Errors: fewer than three batches; gradients of another shape than [B,T,P].
SignalTable signal_table(const StepGradients& gradients);

/// Infinite numbers are null.
nlohmann::json to_json(const SignalTable& table);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/signal_table.ipp>
#endif
