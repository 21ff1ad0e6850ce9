// DDIM against the formulas of Song et al. in the ratio sigma/alpha, and its options.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/ddpm.hpp>

#include <tests/reference/plain_sampler.hpp>

TEST_CASE("DDIM's factors are a = alpha'/alpha, b = alpha'*(kappa - sigma), c = alpha'*u") {
  using namespace reward_tuner;
  double worst = 0;
  for (const double eta : {0.0, 0.3, 1.0})
    for (const int steps : {1, 7, 20, 50}) {
      const auto schedule = Ddim({.num_steps = steps, .eta = eta}).schedule(NoiseSchedule());
      const auto levels = reference::plain_levels({.eta = eta, .num_steps = steps});
      REQUIRE(schedule.num_steps() == steps);
      for (int k = 0; k < steps; ++k) {
        const auto& l = levels[static_cast<std::size_t>(k)];
        const double sigma = std::sqrt((1 - l.abar) / l.abar), next = std::sqrt((1 - l.abar_next) / l.abar_next);
        const double u = eta * next * std::sqrt(sigma * sigma - next * next) / sigma,
                     kappa = std::sqrt(next * next - u * u), alpha_next = std::sqrt(l.abar_next);
        const auto [a, b, c] = schedule.coefficients(k);
        CHECK(schedule.timestep(k) == l.timestep);
        worst = std::max({worst, std::abs(a / (alpha_next / std::sqrt(l.abar)) - 1),
                          std::abs(b / (alpha_next * (kappa - sigma)) - 1), std::abs(c - alpha_next * u)});
      }
    }
  MESSAGE("worst error: ", worst);
  CHECK(worst < 1e-12);
}

TEST_CASE("DDIM at eta = 1 is DDPM with the posterior's variance") {
  using namespace reward_tuner;
  double worst = 0;
  for (const auto prediction : {PredictionType::kEpsilon, PredictionType::kVPrediction, PredictionType::kSample})
    for (const int steps : {4, 20, 50}) {  // divisors of 1000: both agree on the previous level
      const NoiseSchedule noise({.prediction = prediction, .final_alpha_one = true});
      const auto ddim = Ddim({.num_steps = steps, .eta = 1.0}).schedule(noise),
                 ddpm = Ddpm({.num_steps = steps}).schedule(noise);
      for (int k = 0; k < steps; ++k) {
        const auto x = ddim.coefficients(k), y = ddpm.coefficients(k);
        worst = std::max(
            {worst, std::abs(x.latent - y.latent), std::abs(x.network - y.network), std::abs(x.noise - y.noise)});
      }
    }
  MESSAGE("worst difference: ", worst);
  CHECK(worst < 1e-12);
}

TEST_CASE("DDIM takes unset options from the model and set ones from the caller") {
  using namespace reward_tuner;
  const CleanClipping range{.kind = CleanClipping::Kind::kRange, .range = 2.0};
  const NoiseSchedule noise({.spacing = TimestepSpacing::kTrailing, .final_alpha_one = true, .clipping = range});
  const auto own = Ddim({.num_steps = 4}).schedule(noise);
  CHECK(own.timestep(0) == 999);
  CHECK(own.steps.back().alpha_next == 1.0);
  CHECK(own.clipping == range);
  CHECK_FALSE(own.rederive_epsilon);
  const auto given = Ddim({.num_steps = 4,
                           .spacing = TimestepSpacing::kLeading,
                           .final_alpha_one = false,
                           .clipping = CleanClipping{},
                           .use_clipped_output = true})
                         .schedule(noise);
  CHECK(given.timestep(0) == 751);
  CHECK(given.steps.back().alpha_next == doctest::Approx(std::sqrt(noise.abar(0))));
  CHECK(given.linear());
  CHECK(given.rederive_epsilon);
}

TEST_CASE("DDIM rejects options out of range") {
  using namespace reward_tuner;
  CHECK_THROWS_WITH_AS(Ddim({.num_steps = 0}), "[Ddim] num_steps must be >= 1, got 0", Error);
  CHECK_THROWS_WITH_AS(Ddim({.eta = 1.5}), "[Ddim] eta must be in [0, 1], got 1.5", Error);
  CHECK_THROWS_WITH_AS(Ddim({.eta = -0.1}), "[Ddim] eta must be in [0, 1], got -0.1", Error);
  CHECK_THROWS_WITH_AS(Ddim({.eta = std::nan("")}), doctest::Contains("[Ddim] eta must be in [0, 1]"), Error);
  CHECK_THROWS_WITH_AS(Ddim({.guidance = -1}), "[Ddim] guidance must be finite and >= 0, got -1", Error);
  CHECK_THROWS_WITH_AS(Ddim({.num_steps = 1001}).schedule(NoiseSchedule()),
                       doctest::Contains("num_steps must be in 1..1000"), Error);
}
