// AnyReward: the same answers as the reward it holds, value semantics, and the missing gradient as a run-time error.
#include <doctest/doctest.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/clamped.hpp>
#include <reward_tuner/rewards/parity.hpp>
#include <reward_tuner/rewards/random_shift.hpp>
#include <reward_tuner/rewards/standardized.hpp>
#include <reward_tuner/rewards/symmetry.hpp>
#include <reward_tuner/rewards/weighted_sum.hpp>

#include <tests/rewards/reward_checks.hpp>

namespace any_reward_test {

using namespace reward_tuner;
using namespace reward_checks;

TEST_CASE("any reward: name, traits, values and gradient of the held reward") {
  const AnyReward any(SymmetryReward{});
  CHECK(any.name() == "symmetry");
  CHECK(any.differentiable());
  CHECK_FALSE(any.per_group());
  const Tensor images = random_images(2, 6, 6, 1);
  CHECK(any.score({images, {"", ""}}).values.equal(SymmetryReward().score({images, {"", ""}}).values));
  const auto f = [&](const Tensor& x) { return any.score({x, {"", ""}}).values.sum(); };
  const auto direct = [&](const Tensor& x) { return SymmetryReward().score({x, {"", ""}}).values.sum(); };
  CHECK(gradient(f, images).equal(gradient(direct, images)));
}

TEST_CASE("any reward: groups and gradient are known however deep the reward is held") {
  const auto check = [](const AnyReward& held, bool groups, bool gradient) {
    const auto same = [&](const auto& reward) {
      CHECK(per_group(reward) == groups);
      CHECK(has_gradient(reward) == gradient);
      const AnyReward any(reward);
      CHECK((per_group(any) == groups && any.per_group() == groups && any.differentiable() == gradient));
    };
    const AnyReward one(SymmetryReward{});
    CHECK(per_group(held) == groups);
    same(clamped(held, 0, 1));
    same(standardized(held, 0, 1));
    same(randomly_shifted(held, 1));
    same(weighted_sum(weighted(1.0, one), weighted(1.0, held)));
    same(clamped(AnyReward(weighted_sum(weighted(1.0, held), weighted(2.0, SymmetryReward()))), 0, 1));
    const AnyReward list = weighted_sum({weighted(1.0, one), weighted(1.0, held)});
    CHECK((list.per_group() == groups && list.differentiable() == gradient));
  };
  check(AnyReward(SymmetryReward()), false, true);
  check(AnyReward(black_box([](const Tensor& images) { return images.mean({1, 2, 3}); })), false, false);
  check(AnyReward(parity(2, [](const Tensor& images) { return images.mean({1, 2, 3}).gt(0.5).to(at::kLong); })), true,
        false);
}

TEST_CASE("any reward: binding a CLIP leaves copies as they were") {
  AnyReward any(SymmetryReward({.text_weight = 1.0}));
  const AnyReward copy = any;
  any.bind_clip(tiny_clip(1));
  CHECK_FALSE(any.needs_clip());
  CHECK(copy.needs_clip());
  CHECK(any.score({random_images(1, 8, 8, 2), {"a"}}).components.contains("clip_score"));
}

TEST_CASE("any reward: a black box gives values, and a named error where a gradient is asked for") {
  const AnyReward any(black_box([](const Tensor& images) { return images.mean({1, 2, 3}); }));
  CHECK_FALSE(any.differentiable());
  Tensor images = random_images(2, 6, 6, 3);
  CHECK(any.score({images, {"", ""}}).values.size(0) == 2);
  images.requires_grad_();
  CHECK_THROWS_WITH_AS(any.score({images, {"", ""}}),
                       doctest::Contains("expected a reward with a gradient, got black_box"), Error);
  const torch::NoGradGuard no_grad;
  CHECK(any.score({images, {"", ""}}).values.size(0) == 2);
}

}  // namespace any_reward_test
