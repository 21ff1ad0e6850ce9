// Euler ancestral against diffusers' trajectories and DDPM on the same levels.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/samplers/ddpm.hpp>
#include <reward_tuner/samplers/euler_ancestral.hpp>

#include <tests/reference/solver_golden.hpp>

namespace euler_ancestral_test {

using namespace reward_tuner;

TEST_CASE("Euler ancestral follows diffusers' trajectories") {
  const auto errors = reference::solver_errors(
      "EulerAncestralDiscreteScheduler", true,
      [](const NoiseSchedule& noise, int steps) { return EulerAncestral({.num_steps = steps}).schedule(noise); });
  MESSAGE(errors.cases, " files; latents ", errors.latents, ", timesteps ", errors.timesteps);
  CHECK(errors.cases >= 18);
}

TEST_CASE("Euler ancestral is DDPM with the posterior's variance on the same levels") {
  double worst = 0;
  for (const auto prediction : {PredictionType::kEpsilon, PredictionType::kVPrediction, PredictionType::kSample})
    for (const int steps : {4, 20, 50}) {
      const NoiseSchedule model({.prediction = prediction, .spacing = TimestepSpacing::kTrailing});
      const auto euler = EulerAncestral({.num_steps = steps}).schedule(model);
      const auto ddpm = Ddpm({.num_steps = steps}).schedule(model);
      for (int k = 0; k < steps; ++k) {
        const auto x = euler.coefficients(k), y = ddpm.coefficients(k);
        worst = std::max(
            {worst, std::abs(x.latent - y.latent), std::abs(x.network - y.network), std::abs(x.noise - y.noise)});
      }
    }
  MESSAGE("worst difference: ", worst);
  CHECK(worst < 1e-12);
}

TEST_CASE("levels are the caller's alone, and every step but the last has noise") {
  const NoiseSchedule model({.solver = {.levels = LevelSpacing::kKarras, .final_level = FinalLevel::kLowest}});
  const auto own = EulerAncestral({.num_steps = 6}).schedule(model),
             plain = EulerAncestral({.num_steps = 6}).schedule(NoiseSchedule()),
             karras = EulerAncestral({.num_steps = 6, .levels = LevelSpacing::kKarras}).schedule(model);
  for (int k = 0; k < 6; ++k) {
    CHECK(own.step(k).alpha == plain.step(k).alpha);
    CHECK((own.step(k).noise > 0) == (k < 5));
  }
  CHECK(own.steps.back().alpha_next == 1);
  CHECK(karras.step(2).alpha != plain.step(2).alpha);
}

TEST_CASE("Euler ancestral rejects options out of range") {
  CHECK_THROWS_WITH_AS(EulerAncestral({.num_steps = 0}), "[EulerAncestral] num_steps must be >= 1, got 0", Error);
  CHECK_THROWS_WITH_AS(EulerAncestral({.guidance = -1}), "[EulerAncestral] guidance must be finite and >= 0, got -1",
                       Error);
}

}  // namespace euler_ancestral_test
