// A smooth reward for proofs, which can be told to fail in every way a reward can fail.
#pragma once
#include <torch/types.h>

#include <limits>
#include <stdexcept>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner::reference {

/// What a ToyReward does wrong.
enum class ToyFailure { kNone, kNan, kInfiniteGradient, kThrows, kNoGraph, kWrongShape };

/// values = mean(sin(3*image)) - mean((image - 0.7)^2), different for every image and nowhere flat.
struct ToyReward {
  using Role = RewardRole;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "toy";
  ToyFailure failure = ToyFailure::kNone;

  RewardResult score(const RewardInput& input) const {
    const Tensor& x = input.images;                                  // [B,3,H,W]
    const Tensor square = (x - 0.7).square().mean({1, 2, 3});        // [B]
    const Tensor values = (3.0 * x).sin().mean({1, 2, 3}) - square;  // [B]
    switch (failure) {
      case ToyFailure::kNone:
        break;
      case ToyFailure::kNan:
        return {values * std::numeric_limits<double>::quiet_NaN()};
      // 0 here, with slope infinity
      case ToyFailure::kInfiniteGradient:
        return {values + (square - square.detach()).sqrt()};
      case ToyFailure::kThrows:
        throw std::runtime_error("the detector is on holiday");
      case ToyFailure::kNoGraph:
        return {values.detach()};
      case ToyFailure::kWrongShape:
        return {values.unsqueeze(1)};
    }
    return {values, {{"square", square}}};
  }
};
static_assert(RewardPolicy<ToyReward>);

/// Brightness as a black box.
inline auto black_box_brightness() {
  return black_box([](const Tensor& images) { return images.mean({1, 2, 3}); });
}

}  // namespace reward_tuner::reference
