// What the tests of rewards that change or add others' results share: a reward whose answers come later.
#pragma once
#include <doctest/doctest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <future>
#include <memory>
#include <string_view>

#include <reward_tuner/core/policy_traits.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_checks {

using torch::Tensor;

/// A differentiable reward, f of the images, that is asked for an answer that is fetched later.
template <class F>
struct Later {
  using Role = reward_tuner::RewardRole;
  static constexpr bool kDifferentiable = true, kPerGroup = false;
  static constexpr std::string_view kName = "later";
  F f;
  reward_tuner::RewardResult score(const reward_tuner::RewardInput& input) const { return {f(input.images)}; }
  std::future<reward_tuner::RewardResult> score_later(const reward_tuner::RewardInput& input) const {
    ++*asked;
    std::promise<reward_tuner::RewardResult> there;
    there.set_value(score(input));
    return there.get_future();
  }
  std::shared_ptr<int> asked = std::make_shared<int>(0);  ///< how often for later
};
template <class F>
Later(F) -> Later<F>;

/// score_later() of a reward whose parts come later: those are asked before it is fetched, and it gives what score()
/// does, with the gradient, fetched where there is none; without gradients where it was asked without.
template <class Reward>
void check_later(const Reward& reward, const reward_tuner::RewardInput& given, const int& asked) {
  using namespace reward_tuner;
  CHECK(scores_later(reward));
  RewardInput input = given;
  input.images = given.images.detach().clone().requires_grad_();
  const int before = asked;
  std::future<RewardResult> answer = reward.score_later(input);
  CHECK(asked == before + 1);
  RewardResult late;
  {
    const torch::NoGradGuard no_grad;
    late = answer.get();
  }
  const RewardResult now = reward.score(input);
  CHECK(late.values.equal(now.values));
  CHECK(late.components.size() == now.components.size());
  for (const auto& [name, values] : now.components) CHECK(late.components.at(name).equal(values));
  CHECK(late.parts.size() == now.parts.size());
  const auto slope = [&](const Tensor& values) { return torch::autograd::grad({values.sum()}, {input.images})[0]; };
  REQUIRE(late.values.requires_grad());
  const Tensor apart = slope(late.values) - slope(now.values);
  CHECK(apart.abs().max().item<double>() < 1e-12);  // parts are added in another order
  {
    const torch::NoGradGuard no_grad;
    answer = reward.score_later(input);
  }
  CHECK_FALSE(answer.get().values.requires_grad());
}

}  // namespace reward_checks
