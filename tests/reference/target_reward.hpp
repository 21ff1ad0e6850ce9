// The reward that learning tests raise on the Gaussian pipeline, and its value on fixed noise.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/engine/rollout.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/flow_euler.hpp>

#include <tests/reference/gaussian_pipeline.hpp>

namespace reward_tuner::reference {

/// -(image - 0.8)^2, whose best mean latent is 1.2.  images [B,3,H,W] -> [B]
inline Tensor target_values(const Tensor& images) { return -(images - 0.8).square().mean({1, 2, 3}); }

/// The target's values. `shuffle`, if any, turns the values of a batch into those of a control.
template <bool Differentiable>
struct TargetReward {
  using Role = RewardRole;
  static constexpr bool kDifferentiable = Differentiable;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "target";
  std::function<Tensor(const Tensor& values)> shuffle;

  RewardResult score(const RewardInput& input) const {
    const Tensor values = target_values(input.images);  // [B]
    return {shuffle ? shuffle(values) : values};
  }
};
static_assert(RewardPolicy<TargetReward<true>> && RewardPolicy<TargetReward<false>>);

/// The mean of the target's values over sixteen images of fixed seeds.
inline double mean_target_value(GaussianPipeline& pipeline) {
  std::vector<std::uint64_t> seeds(16);
  for (std::size_t i = 0; i < seeds.size(); ++i) seeds[i] = 1000 + i;
  SampleNoise noise(seeds);
  NetworkCounts counts;
  const NoiseSchedule& levels = pipeline.noise_schedule();
  const SamplerSchedule schedule =
      levels.flow() ? FlowEuler({.num_steps = 10}).schedule(levels) : Ddim({.num_steps = 10}).schedule(levels);
  const auto out = rollout(pipeline, sampling_setup(schedule, pipeline.encode(std::vector<std::string>(16, "x")), 1.0),
                           noise, counts);
  const torch::NoGradGuard no_grad;
  return target_values(pipeline.decode(out.clean)).mean().item<double>();
}

}  // namespace reward_tuner::reference
