// What an objective differentiates, which decides how the engine makes an update.
#pragma once

namespace reward_tuner {

/// The quantity that an objective differentiates.
enum class Surrogate {
  kReward,  ///< the reward itself, by the chain rule through decoder and sampler; one optimizer step an update
  /// log-probabilities of sampled steps, weighted by advantages: works with any reward, the sampler must be stochastic
  kLogProb,
  kDenoising,  ///< the denoising loss on sampled images, weighted by their rewards: any reward, any sampler
};

}  // namespace reward_tuner
