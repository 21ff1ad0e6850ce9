// Decoding and scoring in chunks: the same numbers and gradients, for rewards of single images and of groups, with
// less memory.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/engine/reward_gradient.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/tensor/memory_meter.hpp>

#include <tests/reference/toy_pipeline.hpp>
#include <tests/reference/toy_reward.hpp>

namespace reward_gradient_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

/// A reward that no image has alone: minus its distance from the group's mean image.
struct GroupReward {
  using Role = RewardRole;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = true;
  static constexpr std::string_view kName = "group";
  RewardResult score(const RewardInput& input) const {
    CHECK(input.prompts.size() == 5);
    return {-(input.images - input.images.mean(0, true)).square().mean({1, 2, 3}),
            {{"mean", input.images.mean({1, 2, 3})}}};
  }
};

/// The same beside what the group's latents say themselves; without images it reads these alone.
struct LatentGroupReward {
  using Role = RewardRole;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = true;
  static constexpr std::string_view kName = "latent_group";
  bool images = true;
  RewardResult score(const RewardInput& input) const {
    const Tensor spread = (input.latents - input.latents.mean(0, true)).square().mean({1, 2, 3}).sin();  // [B]
    return {images ? spread * input.images.mean({1, 2, 3}) : spread};
  }
};

/// Writes to what it was asked to look at.
struct WritingReward {
  using Role = RewardRole;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "writing";
  RewardResult score(const RewardInput& input) const { return {input.images.mul_(2).mean({1, 2, 3})}; }
};

template <class Reward>
RewardGradient scored(ToyPipeline& pipeline, const Reward& reward, std::int64_t chunk) {
  Rng rng(3);
  const Tensor clean = rng.normal({5, 2, 4, 4}, pipeline.latent_options());
  return reward_gradient(
      pipeline, reward, {clean, {"a", "b", "c", "d", "e"}, {1, 2, 3, 4, 5}},
      [](const Tensor& r) { return (1.5 - r).square(); }, chunk);
}

}  // namespace
}  // namespace reward_gradient_test

TEST_CASE("chunks of any size give the whole batch's reward, loss, components and gradient") {
  using namespace reward_gradient_test;
  ToyPipeline pipeline;
  const auto compare = [&](const auto& reward) {
    const auto whole = scored(pipeline, reward, 0);
    Rng rng(3);
    const Tensor clean = rng.normal({5, 2, 4, 4}, pipeline.latent_options()).requires_grad_();
    const Tensor values = reward.score({.images = pipeline.decode(clean), .prompts = {"a", "b", "c", "d", "e"}}).values;
    CHECK(
        at::allclose(whole.gradient, torch::autograd::grad({(1.5 - values).square().sum()}, {clean})[0], 1e-12, 1e-14));
    CHECK(whole.reward == doctest::Approx(values.sum().item<double>()).epsilon(1e-12));
    for (const std::int64_t chunk : {1, 2, 3, 5, 9}) {
      const auto parts = scored(pipeline, reward, chunk);
      CHECK(at::allclose(parts.gradient, whole.gradient, 1e-12, 1e-14));
      CHECK(parts.reward == doctest::Approx(whole.reward).epsilon(1e-12));
      CHECK(parts.loss == doctest::Approx(whole.loss).epsilon(1e-12));
      for (const auto& [name, sum] : whole.components)
        CHECK(parts.components.at(name) == doctest::Approx(sum).epsilon(1e-12));
    }
  };
  compare(ToyReward());
  compare(GroupReward());
  compare(AnyReward(GroupReward()));
}

TEST_CASE("a reward of groups that reads the latents themselves gets their gradient in chunks too") {
  using namespace reward_gradient_test;
  ToyPipeline pipeline;
  for (const bool images : {true, false}) {
    const LatentGroupReward reward{images};
    Rng rng(3);
    const Tensor clean = rng.normal({5, 2, 4, 4}, pipeline.latent_options()).requires_grad_();
    const Tensor values = reward.score({.images = pipeline.decode(clean), .prompts = {}, .latents = clean}).values;
    const Tensor truth = torch::autograd::grad({(1.5 - values).square().sum()}, {clean})[0];
    for (const std::int64_t chunk : {0, 1, 2, 3, 5}) {
      const RewardGradient parts = scored(pipeline, reward, chunk);
      REQUIRE(parts.gradient.defined());
      CHECK(at::allclose(parts.gradient, truth, 1e-12, 1e-14));
    }
  }
}

TEST_CASE("a reward that writes to the images is a named error, whatever the chunk") {
  using namespace reward_gradient_test;
  ToyPipeline pipeline;
  for (const std::int64_t chunk : {0, 2})
    CHECK_THROWS_WITH_AS(scored(pipeline, WritingReward(), chunk),
                         doctest::Contains("the reward writing changed its images in place"), Error);
}

TEST_CASE("what is not finite is told, whatever the chunk") {
  using namespace reward_gradient_test;
  ToyPipeline pipeline;
  for (const std::int64_t chunk : {0, 2}) {
    const auto nan = scored(pipeline, ToyReward{ToyFailure::kNan}, chunk);
    CHECK(nan.skip_reason == "the reward is not finite");
    CHECK_FALSE(nan.gradient.defined());
    CHECK(scored(pipeline, ToyReward{ToyFailure::kInfiniteGradient}, chunk).skip_reason ==
          "the gradient of the reward is not finite");
    CHECK_THROWS_WITH_AS(scored(pipeline, ToyReward{ToyFailure::kThrows}, chunk),
                         doctest::Contains("the reward toy threw: the detector is on holiday"), Error);
  }
}
