// Noise levels and sampler timesteps against independent formulas.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <numbers>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/noise_schedule.hpp>

TEST_CASE("Stable Diffusion's levels are the product of its scaled-linear betas") {
  using namespace reward_tuner;
  const NoiseSchedule noise;
  long double product = 1;
  double worst = 0;
  for (int i = 0; i < 1000; ++i) {
    const long double root = std::sqrt(0.00085L) + (std::sqrt(0.012L) - std::sqrt(0.00085L)) * i / 999.0L;
    product *= 1 - root * root;
    worst = std::max(worst, std::abs(noise.abar(i) / static_cast<double>(product) - 1));
  }
  CHECK(worst < 1e-12);
  CHECK(noise.abar(0) == doctest::Approx(0.99915).epsilon(1e-12));
  CHECK(noise.final_abar() == noise.abar(0));
  CHECK(NoiseSchedule({.final_alpha_one = true}).final_abar() == 1.0);
}

TEST_CASE("linear and squared-cosine betas begin and end where they should") {
  using namespace reward_tuner;
  const NoiseSchedule linear(
      {.num_train_steps = 10, .beta_start = 0.1, .beta_end = 0.2, .beta_schedule = BetaSchedule::kLinear});
  CHECK(linear.abar(0) == doctest::Approx(0.9));
  CHECK(linear.abar(9) / linear.abar(8) == doctest::Approx(0.8));
  CHECK(linear.abar(1) / linear.abar(0) == doctest::Approx(1 - 0.1 - 0.1 / 9));
  const NoiseSchedule cosine({.beta_schedule = BetaSchedule::kSquaredCosine});
  const auto f = [](double x) {
    const double c = std::cos((x + 0.008) / 1.008 * std::numbers::pi / 2);
    return c * c;
  };
  CHECK(cosine.abar(499) == doctest::Approx(f(0.5) / f(0.0)).epsilon(1e-9));  // the product telescopes
  CHECK(cosine.abar(999) / cosine.abar(998) == doctest::Approx(0.001));       // the last beta is cut at 0.999
}

TEST_CASE("zero terminal SNR keeps the first level, ends at 0 and stays monotone") {
  using namespace reward_tuner;
  const NoiseSchedule plain, zero({.zero_terminal_snr = true});
  CHECK(zero.abar(0) == doctest::Approx(plain.abar(0)).epsilon(1e-12));
  CHECK(zero.abar(999) == 0.0);
  for (int i = 1; i < 1000; ++i) REQUIRE(zero.abar(i) < zero.abar(i - 1));
}

TEST_CASE("sampler timesteps for the three spacings") {
  using namespace reward_tuner;
  const NoiseSchedule noise;
  const auto leading = noise.timesteps(50, TimestepSpacing::kLeading);
  CHECK(leading.front() == 981);
  CHECK(leading.back() == 1);
  CHECK(leading.size() == 50);
  CHECK(noise.timesteps(4, TimestepSpacing::kTrailing) == std::vector<std::int64_t>{999, 749, 499, 249});
  CHECK(noise.timesteps(3, TimestepSpacing::kTrailing) == std::vector<std::int64_t>{999, 666, 332});
  CHECK(noise.timesteps(4, TimestepSpacing::kLinspace) == std::vector<std::int64_t>{999, 666, 333, 0});
  CHECK(noise.timesteps(1, TimestepSpacing::kTrailing) == std::vector<std::int64_t>{999});
  for (const auto spacing : {TimestepSpacing::kLeading, TimestepSpacing::kTrailing, TimestepSpacing::kLinspace})
    for (const int n : {1, 2, 7, 25, 333, 999}) {
      const auto times = noise.timesteps(n, spacing);
      CHECK(times.size() == static_cast<std::size_t>(n));
      CHECK(std::adjacent_find(times.begin(), times.end(), std::less_equal<>()) == times.end());  // strictly falling
    }
}

TEST_CASE("a flow's training steps lie on the line from data to noise, those of betas at their abar") {
  using namespace reward_tuner;
  const NoiseSchedule flow({.num_train_steps = 500, .prediction = PredictionType::kFlow}), betas;
  CHECK(flow.flow());
  CHECK_FALSE(betas.flow());
  const auto first = flow.training(0), last = flow.training(499);
  CHECK((first.timestep == 1 && first.level.sigma == 0.002 && first.level.alpha == 0.998));
  CHECK((last.timestep == 500 && last.level.sigma == 1 && last.level.alpha == 0));
  CHECK_THROWS_WITH_AS(flow.training(500), "[NoiseSchedule] training step must be in 0..499, got 500", Error);
  const auto [timestep, level] = betas.training(400);
  CHECK(
      (timestep == 400 && level.alpha == std::sqrt(betas.abar(400)) && level.sigma == std::sqrt(1 - betas.abar(400))));
}

TEST_CASE("a flow refuses what speaks of betas") {
  using namespace reward_tuner;
  constexpr auto kFlow = PredictionType::kFlow;
  for (const NoiseScheduleConfig& config :
       {NoiseScheduleConfig{.beta_end = 0.02, .prediction = kFlow},
        NoiseScheduleConfig{.num_train_steps = 1, .trained_betas = {0.5}, .prediction = kFlow},
        NoiseScheduleConfig{.zero_terminal_snr = true, .prediction = kFlow},
        NoiseScheduleConfig{.prediction = kFlow, .spacing = TimestepSpacing::kTrailing},
        NoiseScheduleConfig{.prediction = kFlow, .solver = {.order = 2}}})
    CHECK_THROWS_WITH_AS(NoiseSchedule{config},
                         doctest::Contains("expected num_train_steps, prediction and clipping alone"), Error);
  CHECK_NOTHROW(NoiseSchedule({.prediction = kFlow, .clipping = {.kind = CleanClipping::Kind::kRange}}));
  const NoiseSchedule flow({.prediction = kFlow});
  const auto refused = doctest::Contains(
      "[NoiseSchedule] a flow has no abar: expected a network trained on betas, got one of PredictionType::kFlow");
  CHECK_THROWS_WITH_AS(flow.abar(3), refused, Error);
  CHECK_THROWS_WITH_AS(flow.final_abar(), refused, Error);
  CHECK_THROWS_WITH_AS(flow.timesteps(5, TimestepSpacing::kLeading), refused, Error);
}

TEST_CASE("impossible schedules are named errors") {
  using namespace reward_tuner;
  CHECK_THROWS_WITH_AS(NoiseSchedule({.num_train_steps = 0}), doctest::Contains("num_train_steps must be > 0, got 0"),
                       Error);
  CHECK_THROWS_WITH_AS(NoiseSchedule({.trained_betas = {0.1, 0.2}}),
                       doctest::Contains("expected 1000 trained betas, got 2"), Error);
  CHECK_THROWS_WITH_AS(NoiseSchedule({.num_train_steps = 2, .trained_betas = {0.1, -0.2}}),
                       doctest::Contains("got -0.2 at timestep 1"), Error);
  const NoiseSchedule noise;
  CHECK_THROWS_WITH_AS(noise.timesteps(0, TimestepSpacing::kLeading), doctest::Contains("num_steps must be in 1..1000"),
                       Error);
  CHECK_THROWS_WITH_AS(noise.timesteps(1001, TimestepSpacing::kLeading), doctest::Contains("got 1001"), Error);
  CHECK_THROWS_WITH_AS(noise.timesteps(1000, TimestepSpacing::kLeading),
                       doctest::Contains("lower num_steps or steps_offset"), Error);
}
