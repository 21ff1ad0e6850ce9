// Euler against diffusers' trajectories and DDIM on the same levels.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/euler.hpp>

#include <tests/reference/solver_golden.hpp>

namespace euler_test {

using namespace reward_tuner;

TEST_CASE("Euler follows diffusers' trajectories: predictions, spacings, levels and ends") {
  const auto errors = reference::solver_errors(
      "EulerDiscreteScheduler", true,
      [](const NoiseSchedule& noise, int steps) { return Euler({.num_steps = steps}).schedule(noise); });
  MESSAGE(errors.cases, " files; latents ", errors.latents, ", timesteps ", errors.timesteps);
  CHECK(errors.cases >= 39);
}

TEST_CASE("Euler is DDIM without noise on the same levels") {
  double worst = 0;
  for (const auto prediction : {PredictionType::kEpsilon, PredictionType::kVPrediction, PredictionType::kSample})
    for (const int steps : {20, 25}) {
      const NoiseSchedule model(
          {.prediction = prediction, .spacing = TimestepSpacing::kTrailing, .final_alpha_one = true});
      const auto euler = Euler({.num_steps = steps}).schedule(model);
      const auto ddim = Ddim({.num_steps = steps, .eta = 0.0}).schedule(model);
      for (int k = 0; k < steps; ++k) {
        const auto x = euler.coefficients(k), y = ddim.coefficients(k);
        CHECK(euler.timestep(k) == ddim.timestep(k));
        worst = std::max({worst, std::abs(x.latent - y.latent), std::abs(x.network - y.network), x.noise, y.noise});
      }
    }
  MESSAGE("worst difference: ", worst);
  CHECK(worst < 1e-12);
}

TEST_CASE("options stand in place of the model's settings") {
  const NoiseSchedule model({.spacing = TimestepSpacing::kLeading,
                             .solver = {.levels = LevelSpacing::kExponential, .final_level = FinalLevel::kLowest}});
  const auto own = Euler({.num_steps = 6}).schedule(model), given = Euler({.num_steps = 6,
                                                                           .spacing = TimestepSpacing::kLinspace,
                                                                           .levels = LevelSpacing::kTimesteps,
                                                                           .final_level = FinalLevel::kZero})
                                                                        .schedule(model);
  CHECK(own.start_scale == 1);
  CHECK(own.steps.back().direction > 0);
  CHECK(given.start_scale == given.step(0).sigma);
  CHECK(given.steps.back().direction == 0);
  CHECK(given.timestep(1) == doctest::Approx(999 * 0.8));
  CHECK(Euler({.clipping = {.kind = CleanClipping::Kind::kRange}}).schedule(model).linear() == false);
}

TEST_CASE("Euler refuses by name what it does not have") {
  CHECK_THROWS_WITH_AS(Euler({.num_steps = -1}), "[Euler] num_steps must be >= 1, got -1", Error);
  CHECK_THROWS_WITH_AS(Euler({.guidance = std::nan("")}), doctest::Contains("[Euler] guidance must be finite"), Error);
  CHECK_THROWS_WITH_AS(Euler({.num_steps = 1001}).schedule(NoiseSchedule()),
                       doctest::Contains("num_steps must be in 1..1000"), Error);
  CHECK_THROWS_WITH_AS(Euler().schedule(NoiseSchedule({.zero_terminal_snr = true})),
                       doctest::Contains("timestep 999 has no signal"), Error);
  CHECK_NOTHROW(
      Euler().schedule(NoiseSchedule({.zero_terminal_snr = true, .prediction = PredictionType::kVPrediction})));
}

}  // namespace euler_test
