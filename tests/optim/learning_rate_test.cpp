// The factor on the learning rate in closed form, and optimizers that scale by it.
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/optim/learning_rate.hpp>

#include <doctest/doctest.h>

#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/optim/adamw_8bit.hpp>

namespace learning_rate_test {
namespace {

using namespace reward_tuner;
using enum LearningRateDecay;

std::vector<double> factors(const LearningRateSchedule& schedule, std::int64_t planned, std::int64_t made) {
  std::vector<double> out;
  for (std::int64_t done = 0; done < made; ++done) out.push_back(learning_rate_factor(schedule, done, planned));
  return out;
}

void check_near(const std::vector<double>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(expected[i]).epsilon(1e-14));
}

}  // namespace

TEST_CASE("the learning rate's factor is its closed form, and the floor beyond the plan") {
  check_near(factors({}, 3, 5), {1, 1, 1, 1, 1});
  check_near(factors({.warm_up = 4}, 3, 6), {0.25, 0.5, 0.75, 1, 1, 1});
  check_near(factors({.decay = kLinear}, 4, 6), {1, 0.75, 0.5, 0.25, 0, 0});
  check_near(factors({.decay = kLinear, .floor = 0.2, .warm_up = 2}, 6, 8), {0.5, 1, 1, 0.8, 0.6, 0.4, 0.2, 0.2});
  const double half = std::sqrt(0.5) / 2;  // cos(pi / 4) / 2
  check_near(factors({.decay = kCosine}, 4, 6), {1, 0.5 + half, 0.5, 0.5 - half, 0, 0});
  check_near(factors({.decay = kCosine, .floor = 0.1, .warm_up = 2}, 6, 7),
             {0.5, 1, 1, 0.1 + 0.9 * (0.5 + half), 0.55, 0.1 + 0.9 * (0.5 - half), 0.1});
  check_near(factors({.decay = kLinear, .floor = 0.2, .warm_up = 3}, 2, 5), {1. / 3, 2. / 3, 1, 1, 0.2});
}

TEST_CASE("a schedule that cannot be is refused by name") {
  CHECK_NOTHROW(check_options({.decay = kCosine, .floor = 1, .warm_up = 5}, "Here"));
  CHECK_THROWS_WITH_AS(check_options({.decay = kCosine, .floor = -0.1}, "Here"),
                       "[Here] learning_rate.floor must be in [0, 1], got -0.1", Error);
  CHECK_THROWS_WITH_AS(check_options({.decay = kLinear, .floor = 1.5}, "Here"),
                       "[Here] learning_rate.floor must be in [0, 1], got 1.5", Error);
  CHECK_THROWS_WITH_AS(check_options({.floor = 0.5}, "Here"),
                       "[Here] learning_rate.floor expected a decay, kLinear or kCosine, got 0.5 with kConstant",
                       Error);
  CHECK_THROWS_WITH_AS(check_options({.warm_up = -1}, "Here"), "[Here] learning_rate.warm_up must be >= 0, got -1",
                       Error);
}

TEST_CASE_TEMPLATE("an optimizer steps at its own rate times the factor", Optim, AdamW, AdamW8bit) {
  const auto stepped = [](double rate, double factor) {
    const Tensor small = at::ones({3}).requires_grad_(), large = at::ones({5000}).requires_grad_();
    Optim optimizer({small, large}, {.learning_rate = rate, .weight_decay = 0.1});
    optimizer.scale_learning_rate(7);  // factors do not pile up
    optimizer.scale_learning_rate(factor);
    CHECK(optimizer.learning_rate() == rate * factor);
    CHECK(optimizer.options().learning_rate == rate);
    for (Tensor p : {small, large}) p.mutable_grad() = at::full_like(p, 0.5);
    optimizer.step();
    return std::vector<Tensor>{small.detach(), large.detach()};
  };
  const auto scaled = stepped(0.25, 0.5), plain = stepped(0.125, 1), full = stepped(0.25, 1);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(scaled[i].equal(plain[i]));
    CHECK_FALSE(scaled[i].equal(full[i]));
  }
}

}  // namespace learning_rate_test
