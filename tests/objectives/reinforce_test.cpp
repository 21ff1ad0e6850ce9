// The policy gradient's losses: values, slopes and options.
#include <doctest/doctest.h>

#include <ATen/ops/tensor.h>
#include <torch/autograd.h>

#include <cmath>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/objectives/reinforce.hpp>

TEST_CASE("the policy gradient's loss is -A*ratio, or -A*log p without the ratio") {
  using namespace reward_tuner;
  const Tensor lp = at::tensor({-1.0, 0.3, 2.0, -4.5}, at::kDouble).requires_grad_();  // [n]
  const std::vector<double> now = {-1.0, 0.3, 2.0, -4.5}, old = {-1.2, 0.3, 2.5, -4.0}, a = {1.5, -0.5, 2.0, 0.0};
  const PolicyRows rows{
      .log_probs = lp, .old_log_probs = at::tensor(old, at::kDouble), .advantages = at::tensor(a, at::kDouble)};
  for (const bool weighted : {true, false}) {
    const Tensor loss = Reinforce({.importance_weighted = weighted}).losses(rows);  // [n]
    const Tensor slope = torch::autograd::grad({loss.sum()}, {lp})[0];              // [n]
    for (std::size_t i = 0; i < a.size(); ++i) {
      const double ratio = std::exp(now[i] - old[i]);
      CHECK(loss[static_cast<std::int64_t>(i)].item<double>() ==
            doctest::Approx(-a[i] * (weighted ? ratio : now[i])).epsilon(1e-14));
      CHECK(slope[static_cast<std::int64_t>(i)].item<double>() ==
            doctest::Approx(-a[i] * (weighted ? ratio : 1.0)).epsilon(1e-14));
    }
  }
}

TEST_CASE("where new and old weights are the same, both forms have the same slope") {
  using namespace reward_tuner;
  const Tensor lp = at::tensor({-1.0, 0.3, 2.0}, at::kDouble).requires_grad_();
  const PolicyRows rows{
      .log_probs = lp, .old_log_probs = lp.detach(), .advantages = at::tensor({1.5, -0.5, 2.0}, at::kDouble)};
  const auto slope = [&](bool weighted) {
    return torch::autograd::grad({Reinforce({.importance_weighted = weighted}).losses(rows).sum()}, {lp})[0];
  };
  CHECK(slope(true).equal(slope(false)));
}

TEST_CASE("Reinforce needs no reference and refuses bad rounds by name") {
  using namespace reward_tuner;
  CHECK_FALSE(ObjectiveTraits<Reinforce>::needs_reference(Reinforce()));
  CHECK_THROWS_WITH_AS(
      Reinforce({.round = {.samples_per_prompt = -1}}),
      "[RewardTuner] round.samples_per_prompt must be >= 0 (0: one, or what the advantage needs), got -1", Error);
  CHECK_THROWS_WITH_AS(Reinforce({.round = {.epochs = 0}}), "[RewardTuner] round.epochs must be >= 1, got 0", Error);
  CHECK_THROWS_WITH_AS(Reinforce({.round = {.updates_per_epoch = -1}}),
                       "[RewardTuner] round.updates_per_epoch must be >= 0 (0: the objective's own number), got -1",
                       Error);
  CHECK_THROWS_WITH_AS(Reinforce({.round = {.updates_per_epoch = 3, .step_per_timestep = true}}),
                       "[RewardTuner] round.updates_per_epoch 3 cannot be combined with round.step_per_timestep, which "
                       "takes one step per timestep",
                       Error);
  CHECK_THROWS_WITH_AS(Reinforce({.round = {.rows = -2}}),
                       "[RewardTuner] round.rows must be >= 0 (0: the images of a micro-batch), got -2", Error);
  CHECK_THROWS_WITH_AS(Reinforce({.round = {.ratio_tolerance = 0}}),
                       "[RewardTuner] round.ratio_tolerance must be > 0, got 0", Error);
  CHECK_THROWS_WITH_AS(Reinforce({.round = {.ratio_tolerance = std::nan("")}}),
                       "[RewardTuner] round.ratio_tolerance must be > 0, got nan", Error);
}
