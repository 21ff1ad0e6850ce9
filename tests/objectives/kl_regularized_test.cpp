// DPOK's loss: no gradient outside the range on either side, the distance from the untuned network, and its options.
#include <doctest/doctest.h>

#include <ATen/ops/tensor.h>
#include <torch/autograd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/objectives/kl_regularized.hpp>

TEST_CASE("DPOK's policy loss is flat outside the range on both sides; the pessimistic one only where PPO's is") {
  using namespace reward_tuner;
  const double clip = 0.1;
  for (const double ratio : {0.7, 0.95, 1.0, 1.05, 1.3})
    for (const double advantage : {2.0, -2.0})
      for (const bool pessimistic : {false, true}) {
        CAPTURE(ratio);
        CAPTURE(advantage);
        CAPTURE(pessimistic);
        const Tensor lp = at::tensor({-3.0 + std::log(ratio)}, at::kDouble).requires_grad_();  // [1]
        const PolicyRows rows{.log_probs = lp,
                              .old_log_probs = at::tensor({-3.0}, at::kDouble),
                              .advantages = at::tensor({advantage}, at::kDouble)};
        const Tensor loss =
            KlRegularized({.reward_weight = 3, .kl_weight = 0, .clip = clip, .pessimistic = pessimistic}).losses(rows);
        const double clipped = -advantage * std::clamp(ratio, 1 - clip, 1 + clip);
        CHECK(loss.item<double>() ==
              doctest::Approx(3 * (pessimistic ? std::max(-advantage * ratio, clipped) : clipped)).epsilon(1e-13));
        const double slope = torch::autograd::grad({loss.sum()}, {lp})[0].item<double>();
        const bool outside = std::abs(ratio - 1) > clip, pulled_back = (ratio > 1) == (advantage < 0);
        if (outside && !(pessimistic && pulled_back)) CHECK(slope == 0);
        else CHECK(slope == doctest::Approx(-3 * advantage * ratio).epsilon(1e-13));
      }
}

TEST_CASE("the divergence is kl_weight times the rows' drift, and absent without a reference") {
  using namespace reward_tuner;
  // [n]
  const Tensor lp = at::tensor({-1.0, 0.5}, at::kDouble).requires_grad_(),
               drift = at::tensor({0.2, 3.0}, at::kDouble).requires_grad_();
  PolicyRows rows{.log_probs = lp, .old_log_probs = lp.detach(), .advantages = at::tensor({1.0, -2.0}, at::kDouble)};
  const KlRegularized dpok({.reward_weight = 100, .kl_weight = 0.25, .clip = 1e-4});
  CHECK(dpok.needs_reference());
  CHECK(dpok.losses(rows).equal(at::tensor({-100.0, 200.0}, at::kDouble)));
  rows.drift = drift;
  const Tensor loss = dpok.losses(rows);
  CHECK(loss.equal(at::tensor({-100 + 0.25 * 0.2, 200 + 0.25 * 3.0}, at::kDouble)));
  CHECK(torch::autograd::grad({loss.sum()}, {drift})[0].equal(at::tensor({0.25, 0.25}, at::kDouble)));
  CHECK_FALSE(KlRegularized({.kl_weight = 0}).needs_reference());
}

TEST_CASE("KlRegularized's bad options are named errors") {
  using namespace reward_tuner;
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH_AS(KlRegularized({.reward_weight = 0}), "[KlRegularized] reward_weight must be > 0, got 0", Error);
  CHECK_THROWS_WITH_AS(KlRegularized({.reward_weight = infinity}), "[KlRegularized] reward_weight must be > 0, got inf",
                       Error);
  CHECK_THROWS_WITH_AS(KlRegularized({.kl_weight = -1}), "[KlRegularized] kl_weight must be >= 0, got -1", Error);
  CHECK_THROWS_WITH_AS(KlRegularized({.clip = 0}), "[KlRegularized] clip must be > 0, got 0", Error);
  CHECK_THROWS_WITH_AS(KlRegularized({.clip_nats = -1}), "[KlRegularized] clip_nats must be > 0, got -1", Error);
  CHECK_THROWS_WITH_AS(KlRegularized({.clip = 0.5, .clip_nats = 2}),
                       "[KlRegularized] expected either clip or clip_nats, got both: 0.5 and 2", Error);
  CHECK_THROWS_WITH_AS(KlRegularized({.value = {.learning_rate = 0}}),
                       "[KlRegularized] value.learning_rate must be > 0, got 0", Error);
  CHECK_THROWS_WITH_AS(KlRegularized({.value = {.steps = 0}}), "[KlRegularized] value.steps must be >= 1, got 0",
                       Error);
  CHECK_THROWS_WITH_AS(KlRegularized({.value = {.batch = 0}}), "[KlRegularized] value.batch must be >= 1, got 0",
                       Error);
  CHECK_THROWS_WITH_AS(KlRegularized({.round = {.epochs = 0}}), "[RewardTuner] round.epochs must be >= 1, got 0",
                       Error);
}
