// The columns of a sampler step against the conversions between predictions.
#include <doctest/doctest.h>

#include <cmath>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/sampler_schedule.hpp>

TEST_CASE("every prediction type recovers the clean sample and the noise it was made of") {
  using namespace reward_tuner;
  const double abar = 0.37, alpha = std::sqrt(abar), sigma = std::sqrt(1 - abar);
  const double x0 = 0.8, eps = -1.3, x = alpha * x0 + sigma * eps;
  const auto check = [&](PredictionType type, double output) {
    const SamplerStep s = make_step(5, abar, 0.6, type);
    CHECK(s.timestep == 5);
    CHECK(s.alpha_next == doctest::Approx(std::sqrt(0.6)));
    CHECK(s.clean_latent * x + s.clean_network * output == doctest::Approx(x0).epsilon(1e-12));
    CHECK(s.epsilon_latent * x + s.epsilon_network * output == doctest::Approx(eps).epsilon(1e-12));
  };
  check(PredictionType::kEpsilon, eps);
  check(PredictionType::kVPrediction, alpha * eps - sigma * x0);
  check(PredictionType::kSample, x0);
}

TEST_CASE("a flow's velocity recovers both at any levels, and a v prediction only where their squares add up to 1") {
  using namespace reward_tuner;
  const double x0 = 0.8, eps = -1.3;
  for (const Level level : {Level::of_flow(0.3), Level::of_flow(1), Level::of_flow(0), Level::of_abar(0.37),
                            Level{.alpha = 0.9, .sigma = 4}}) {
    const double x = level.alpha * x0 + level.sigma * eps, velocity = eps - x0;
    const SamplerStep s = make_step(300.5, level, Level::of_flow(0.2), PredictionType::kFlow);
    CHECK(s.alpha_next == 0.8);
    CHECK(s.clean_latent * x + s.clean_network * velocity == doctest::Approx(x0).epsilon(1e-12));
    CHECK(s.epsilon_latent * x + s.epsilon_network * velocity == doctest::Approx(eps).epsilon(1e-12));
  }
  CHECK_THROWS_WITH_AS(make_step(300, Level::of_flow(0.25), Level::of_flow(0), PredictionType::kVPrediction),
                       "[Sampler] timestep 300: a v prediction expected levels with alpha^2 + sigma^2 = 1, got 0.75 "
                       "and 0.25",
                       Error);
}

TEST_CASE("folded coefficients equal the step written out") {
  using namespace reward_tuner;
  SamplerStep s = make_step(5, 0.3, 0.5, PredictionType::kVPrediction);
  s.direction = 0.61;
  s.noise = 0.17;
  const double x = 0.4, o = -0.9;
  const double clean = s.clean_latent * x + s.clean_network * o, eps = s.epsilon_latent * x + s.epsilon_network * o;
  const auto [a, b, c] = s.coefficients();
  CHECK(a * x + b * o == doctest::Approx(s.alpha_next * clean + s.direction * eps).epsilon(1e-14));
  CHECK(c == 0.17);
}

TEST_CASE("pure noise needs a v prediction") {
  using namespace reward_tuner;
  CHECK_THROWS_WITH_AS(make_step(999, 0.0, 0.1, PredictionType::kEpsilon),
                       doctest::Contains("timestep 999 has no signal"), Error);
  const SamplerStep s = make_step(999, 0.0, 0.1, PredictionType::kVPrediction);
  CHECK(s.clean_latent == 0.0);
  CHECK(s.clean_network == -1.0);
}

TEST_CASE("only an unclipped schedule is linear") {
  using namespace reward_tuner;
  SamplerSchedule schedule;
  CHECK(schedule.linear());
  schedule.clipping.kind = CleanClipping::Kind::kRange;
  CHECK_FALSE(schedule.linear());
}
