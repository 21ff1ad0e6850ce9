// DDPM against the posterior of Ho et al. 2020, and its options.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/samplers/ddpm.hpp>

#include <tests/reference/plain_sampler.hpp>

TEST_CASE("DDPM's step is the posterior mean of Eq. 7 with either variance") {
  using namespace reward_tuner;
  double worst = 0;
  for (const bool large : {false, true})
    for (const int steps : {1, 7, 25}) {
      const auto variance = large ? DdpmVariance::kFixedLarge : DdpmVariance::kFixedSmall;
      const auto schedule = Ddpm({.num_steps = steps, .variance = variance}).schedule(NoiseSchedule());
      const auto levels = reference::plain_levels({.ddpm = true, .num_steps = steps});
      for (int k = 0; k < steps; ++k) {
        const auto& l = levels[static_cast<std::size_t>(k)];
        const double r = l.abar / l.abar_next, alpha = std::sqrt(l.abar), sigma = std::sqrt(1 - l.abar);
        const double of_clean = std::sqrt(l.abar_next) * (1 - r) / (1 - l.abar),
                     of_latent = std::sqrt(r) * (1 - l.abar_next) / (1 - l.abar);
        const double variance_k = large ? 1 - r : (1 - l.abar_next) / (1 - l.abar) * (1 - r);
        const auto [a, b, c] = schedule.coefficients(k);
        worst = std::max({worst, std::abs(a - (of_clean / alpha + of_latent)), std::abs(b + of_clean * sigma / alpha),
                          std::abs(c * c - variance_k)});
      }
    }
  MESSAGE("worst error: ", worst);
  CHECK(worst < 1e-12);
}

TEST_CASE("DDPM's last step is the clean prediction; the posterior adds no noise to it") {
  using namespace reward_tuner;
  const auto schedule = Ddpm({.num_steps = 10}).schedule(NoiseSchedule());
  const auto& last = schedule.steps.back();
  const auto [a, b, c] = last.coefficients();
  CHECK(a == doctest::Approx(last.clean_latent).epsilon(1e-14));
  CHECK(b == doctest::Approx(last.clean_network).epsilon(1e-14));
  CHECK(c == 0.0);
  CHECK(schedule.rederive_epsilon);
}

TEST_CASE("DDPM rejects options out of range") {
  using namespace reward_tuner;
  CHECK_THROWS_WITH_AS(Ddpm({.num_steps = -3}), "[Ddpm] num_steps must be >= 1, got -3", Error);
  CHECK_THROWS_WITH_AS(Ddpm({.guidance = std::nan("")}), doctest::Contains("[Ddpm] guidance must be finite and >= 0"),
                       Error);
}
