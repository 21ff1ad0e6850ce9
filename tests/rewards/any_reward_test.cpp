// AnyReward: the same answers as the reward it holds, value semantics, and the missing gradient as a run-time error.
#include <doctest/doctest.h>

#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/symmetry.hpp>

#include "reward_checks.hpp"

namespace any_reward_test {

using namespace reward_tuner;
using namespace reward_checks;

TEST_CASE("any reward: name, traits, values and gradient of the held reward") {
  const AnyReward any(SymmetryReward{});
  CHECK(any.name() == "symmetry");
  CHECK(any.differentiable());
  CHECK_FALSE(any.per_group());
  const Tensor pictures = random_pictures(2, 6, 6, 1);
  CHECK(any.score({pictures, {"", ""}}).values.equal(SymmetryReward().score({pictures, {"", ""}}).values));
  const auto f = [&](const Tensor& x) { return any.score({x, {"", ""}}).values.sum(); };
  const auto direct = [&](const Tensor& x) { return SymmetryReward().score({x, {"", ""}}).values.sum(); };
  CHECK(gradient(f, pictures).equal(gradient(direct, pictures)));
}

TEST_CASE("any reward: binding a CLIP leaves copies as they were") {
  AnyReward any(SymmetryReward({.text_weight = 1.0}));
  const AnyReward copy = any;
  any.bind_clip(tiny_clip(1));
  CHECK_FALSE(any.needs_clip());
  CHECK(copy.needs_clip());
  CHECK(any.score({random_pictures(1, 8, 8, 2), {"a"}}).components.contains("clip_score"));
}

TEST_CASE("any reward: a black box gives values, and a named error where a gradient is asked for") {
  const AnyReward any(black_box([](const Tensor& images) { return images.mean({1, 2, 3}); }));
  CHECK_FALSE(any.differentiable());
  Tensor pictures = random_pictures(2, 6, 6, 3);
  CHECK(any.score({pictures, {"", ""}}).values.size(0) == 2);
  pictures.requires_grad_();
  CHECK_THROWS_WITH_AS(any.score({pictures, {"", ""}}),
                       doctest::Contains("wanted a reward with a gradient, found black_box"), Error);
  const torch::NoGradGuard no_grad;
  CHECK(any.score({pictures, {"", ""}}).values.size(0) == 2);
}

}  // namespace any_reward_test
