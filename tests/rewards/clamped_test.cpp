// Clamped: values, the gradient that ends at the bounds, components, traits.
#include <doctest/doctest.h>

#include <limits>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/rewards/brightness.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/clamped.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/rewards/jpeg_error.hpp>

#include <tests/rewards/later_checks.hpp>
#include <tests/rewards/reward_checks.hpp>

namespace clamped_test {
namespace {

using namespace reward_tuner;
using namespace reward_checks;

Tensor mean_of(const Tensor& images) { return images.mean({1, 2, 3}); }

/// A reward of whole groups.
struct GroupReward {
  using Role = RewardRole;
  static constexpr std::string_view kName = "group";
  static constexpr bool kDifferentiable = true, kPerGroup = true;
  RewardResult score(const RewardInput& input) const { return {mean_of(input.images)}; }
};

}  // namespace

TEST_CASE("clamped: values within the bounds, the inner value and its components kept") {
  const Tensor images = random_images(3, 4, 4, 1) * torch::tensor({0.1, 1.0, 1.9}, at::kDouble).view({3, 1, 1, 1});
  const auto reward = clamped(BrightnessReward({.darker = true}), -0.6, -0.2);
  static_assert(RewardPolicy<decltype(reward)> && decltype(reward)::kDifferentiable && !decltype(reward)::kPerGroup);
  const RewardResult inner = BrightnessReward({.darker = true}).score({images, {}}),
                     result = reward.score({images, {}});
  CHECK(result.values[0].item<double>() == -0.2);
  CHECK(result.values[1].item<double>() == inner.values[1].item<double>());
  CHECK(result.values[2].item<double>() == -0.6);
  // the reward's own, with its own sign
  CHECK(result.components.at("brightness").equal(inner.components.at("brightness")));
  const RewardResult plain = clamped(differentiable(&mean_of), 0, 1).score({images, {}});
  CHECK(plain.components.at("callable").equal(mean_of(images)));
  // AnyReward takes it as any other.
  CHECK(AnyReward(reward).score({images, {}}).values.equal(result.values));
}

TEST_CASE("clamped: the gradient is the reward's own inside, zero outside") {
  const Tensor images = random_images(3, 4, 4, 2) * torch::tensor({0.1, 1.0, 1.9}, at::kDouble).view({3, 1, 1, 1});
  const auto reward = clamped(differentiable([](const Tensor& x) { return x.pow(2).mean({1, 2, 3}); }), 0.1, 0.6);
  const auto f = [&](const Tensor& x) { return reward.score({x, {}}).values.sum(); };
  const Tensor slope = gradient(f, images);
  CHECK(relative_error(slope, central_differences(f, images)) < 1e-6);
  CHECK(slope[0].abs().max().item<double>() == 0);
  CHECK(slope[1].abs().max().item<double>() > 0);
  CHECK(slope[2].abs().max().item<double>() == 0);
}

TEST_CASE("clamped: a black box stays one, a group's reward too, and a CLIP is passed on") {
  const auto box = clamped(black_box(&mean_of), 0, 1);
  static_assert(!decltype(box)::kDifferentiable && Clamped<GroupReward>::kPerGroup);
  CHECK_FALSE(box.score({random_images(2, 4, 4, 3).requires_grad_(), {}}).values.requires_grad());
  auto text = clamped(ClipScoreReward(), -1, 0.3);
  CHECK(text.needs_clip());
  text.bind_clip(tiny_clip(1));
  CHECK_FALSE(text.needs_clip());
  CHECK(text.score({random_images(2, 8, 8, 4), {"a", "b"}}).components.contains("clip_score"));
}

TEST_CASE("clamped: an answer that comes later is asked at once and clamped when it is fetched") {
  const Later later{[](const Tensor& x) { return x.pow(2).mean({1, 2, 3}); }};
  check_later(clamped(later, 0.1, 0.35), {random_images(3, 4, 4, 6), {}}, *later.asked);
  CHECK_FALSE(scores_later(clamped(BrightnessReward(), 0, 1)));
}

TEST_CASE("clamped: bounds in the wrong order are named") {
  CHECK_THROWS_WITH_AS(clamped(BrightnessReward(), 1, 0), doctest::Contains("expected low <= high, got 1 and 0"),
                       Error);
  CHECK_THROWS_AS(clamped(BrightnessReward(), std::numeric_limits<double>::quiet_NaN(), 0), Error);
}

}  // namespace clamped_test
