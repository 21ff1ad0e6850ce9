// Preferences: values and slopes of -log sigmoid on pairs, which reference is read, and the options.
#include <doctest/doctest.h>

#include <ATen/ops/tensor.h>
#include <torch/autograd.h>

#include <cmath>
#include <limits>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/objectives/preference.hpp>

TEST_CASE("a pair's loss is -log sigmoid of beta times the difference of its gains, against either reference") {
  using namespace reward_tuner;
  // two pairs: rows 0 and 2, 1 and 3
  const std::vector<double> now = {-1.0, 0.5, -2.0, 0.1}, old = {-1.5, 0.6, -2.5, 0.1}, untuned = {-3.0, 0.2, 1.0, 0.0};
  for (const auto reference : {PreferenceReference::kSampling, PreferenceReference::kUntuned})
    for (const double beta : {0.1, 1.0, 30.0}) {
      const Tensor lp = at::tensor(now, at::kDouble).requires_grad_();
      const Preference objective({.beta = beta, .reference = reference});
      CHECK(objective.needs_reference() == (reference == PreferenceReference::kUntuned));
      const Tensor loss = objective.losses({.log_probs = lp,
                                            .old_log_probs = at::tensor(old, at::kDouble),
                                            .advantages = at::tensor({9.0, 9.0, 9.0, 9.0}, at::kDouble),
                                            .reference_log_probs = at::tensor(untuned, at::kDouble)});
      REQUIRE(loss.sizes() == at::IntArrayRef({2}));
      const Tensor slope = torch::autograd::grad({loss.sum()}, {lp})[0];  // [4]
      const auto& against = reference == PreferenceReference::kUntuned ? untuned : old;
      for (std::size_t i = 0; i < 2; ++i) {
        const double x = beta * ((now[i] - against[i]) - (now[i + 2] - against[i + 2]));
        const double pull = beta / (1 + std::exp(x));  // beta * sigmoid(-x)
        CHECK(loss[static_cast<std::int64_t>(i)].item<double>() ==
              doctest::Approx(x > 0 ? std::log1p(std::exp(-x)) : -x + std::log1p(std::exp(x))).epsilon(1e-12));
        // the better one is pushed up
        CHECK(slope[static_cast<std::int64_t>(i)].item<double>() == doctest::Approx(-pull).epsilon(1e-12));
        // the worse one down
        CHECK(slope[static_cast<std::int64_t>(i) + 2].item<double>() == doctest::Approx(pull).epsilon(1e-12));
      }
    }
}

TEST_CASE("a fresh pair costs log 2 and pulls by beta/2 whatever the advantages, and a hopeless one by at most beta") {
  using namespace reward_tuner;
  const Tensor lp = at::tensor({-1.0, 7.0}, at::kDouble).requires_grad_();
  const Tensor loss =
      Preference({.beta = 0.4})
          .losses({.log_probs = lp, .old_log_probs = lp.detach(), .advantages = at::tensor({5.0, -5.0}, at::kDouble)});
  CHECK(loss.item<double>() == doctest::Approx(std::log(2.0)).epsilon(1e-15));
  CHECK(torch::autograd::grad({loss.sum()}, {lp})[0].equal(at::tensor({-0.2, 0.2}, at::kDouble)));
  const Tensor far = at::tensor({-1e6, 1e6}, at::kDouble).requires_grad_();
  const Tensor lost = Preference({.beta = 0.4})
                          .losses({.log_probs = far,
                                   .old_log_probs = at::tensor({0.0, 0.0}, at::kDouble),
                                   .advantages = at::tensor({1.0, -1.0}, at::kDouble)});
  CHECK(lost.item<double>() == doctest::Approx(0.8e6));  // finite, where exp would not be
  CHECK(torch::autograd::grad({lost.sum()}, {far})[0].equal(at::tensor({-0.4, 0.4}, at::kDouble)));
}

TEST_CASE("Preference's bad options are named errors") {
  using namespace reward_tuner;
  CHECK_THROWS_WITH_AS(Preference({.beta = 0}), "[Preference] beta must be > 0, got 0", Error);
  CHECK_THROWS_WITH_AS(Preference({.beta = std::numeric_limits<double>::infinity()}),
                       "[Preference] beta must be > 0, got inf", Error);
  CHECK_THROWS_WITH_AS(Preference({.round = {.epochs = 0}}), "[RewardTuner] round.epochs must be >= 1, got 0", Error);
}
