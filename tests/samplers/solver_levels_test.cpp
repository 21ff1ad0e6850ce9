// Noise levels between the training's, and their spreads.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/samplers/solver_levels.hpp>

namespace solver_levels_test {

using namespace reward_tuner;

TEST_CASE("a ratio at a training step is its own, and its timestep leads back") {
  const NoiseSchedule noise;
  const TrainingRatios table(noise);
  for (const std::int64_t t : {0, 1, 500, 998, 999}) {
    const double ratio = std::sqrt((1 - noise.abar(t)) / noise.abar(t));
    CHECK(table.at(static_cast<double>(t)) == doctest::Approx(ratio).epsilon(1e-12));
    CHECK(table.timestep(ratio) == doctest::Approx(static_cast<double>(t)).epsilon(1e-9));
  }
  CHECK(table.at(10.25) == doctest::Approx(0.75 * table.at(10) + 0.25 * table.at(11)).epsilon(1e-14));
  const double between = std::exp(0.5 * (std::log(table.at(10)) + std::log(table.at(11))));
  CHECK(table.timestep(between) == doctest::Approx(10.5).epsilon(1e-9));
  CHECK(table.timestep(100) == 999);
  CHECK(table.timestep_below(between) == 10);
  CHECK(table.timestep_below(table.highest()) == 998);
  CHECK(table.timestep_below(table.lowest()) == 0);
  CHECK(table.timestep(1e-9) == 0);
  CHECK(TrainingRatios(NoiseSchedule({.zero_terminal_snr = true})).highest() == doctest::Approx(4096).epsilon(1e-6));
}

TEST_CASE("each spread runs from the highest ratio to the lowest") {
  for (const auto spread : {LevelSpacing::kKarras, LevelSpacing::kExponential, LevelSpacing::kBeta})
    for (const int n : {2, 3, 9}) {
      const auto r = spaced_ratios(spread, 14.6, 0.03, n);
      REQUIRE(r.size() == static_cast<std::size_t>(n));
      CHECK(r.front() == doctest::Approx(14.6).epsilon(1e-12));
      CHECK(r.back() == doctest::Approx(0.03).epsilon(1e-9));
      CHECK(std::is_sorted(r.rbegin(), r.rend()));
    }
  const auto alone = spaced_ratios(LevelSpacing::kKarras, 5, 1, 1);
  CHECK((alone.size() == 1 && std::abs(alone[0] - 5) < 1e-12));
  CHECK(spaced_ratios(LevelSpacing::kExponential, 4, 1, 3)[1] == doctest::Approx(2));
  const double middle = std::pow(0.5 * (std::pow(4, 1.0 / 7) + 1), 7);
  CHECK(spaced_ratios(LevelSpacing::kKarras, 4, 1, 3)[1] == doctest::Approx(middle));
}

TEST_CASE("the quantiles of Beta(0.6, 0.6) are those that its density integrates to") {
  // by the substitution x = sin(u)^2, whose integrand 2 (sin u cos u)^(2a - 1) vanishes at the ends
  const auto share = [](double x) {
    const int n = 200000;
    const double a = 0.6, end = std::asin(std::sqrt(x));
    double sum = 0;
    for (int i = 0; i < n; ++i) {
      const double u = (i + 0.5) * end / n;
      sum += 2 * std::pow(std::sin(u) * std::cos(u), 2 * a - 1) * end / n;
    }
    return sum / (std::tgamma(a) * std::tgamma(a) / std::tgamma(2 * a));
  };
  for (const double p : {0.01, 0.1, 0.3, 0.5, 0.8, 0.99})
    CHECK(share(reward_tuner::detail::beta_quantile(p)) == doctest::Approx(p).epsilon(1e-5));
  CHECK(reward_tuner::detail::beta_quantile(0) == doctest::Approx(0).epsilon(1e-12));
  CHECK(reward_tuner::detail::beta_quantile(1) == doctest::Approx(1).epsilon(1e-12));
}

TEST_CASE("levels that stand still are refused") {
  const NoiseSchedule noise;
  CHECK_THROWS_WITH_AS(check_levels({{9, 8}, {2, 2, 0}}, noise, "Mine"),
                       doctest::Contains("[Mine] expected noise levels that fall from step to step, got 2 and 2 at "
                                         "steps 0 and 1"),
                       Error);
  CHECK_NOTHROW(check_levels({{9, 8}, {2, 1, 1}}, noise, "Mine"));  // the last step may stay where it is
  CHECK_THROWS_WITH_AS(TrainingRatios(NoiseSchedule({.num_train_steps = 1})),
                       doctest::Contains("expected at least 2 training steps"), Error);
}

}  // namespace solver_levels_test
