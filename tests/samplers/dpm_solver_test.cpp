// DPM-Solver++ against diffusers' trajectories, DDIM on the same levels, and its order rules.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/dpm_solver.hpp>

#include <tests/reference/solver_golden.hpp>

namespace dpm_solver_test {

using namespace reward_tuner;

TEST_CASE("DPM-Solver++ follows diffusers' trajectories: forms, noise, orders, spacings, levels and ends") {
  const auto errors = reference::solver_errors(
      "DPMSolverMultistepScheduler", false,
      [](const NoiseSchedule& noise, int steps) { return DpmSolver({.num_steps = steps}).schedule(noise); });
  MESSAGE(errors.cases, " files; latents ", errors.latents, ", timesteps ", errors.timesteps);
  CHECK(errors.cases >= 80);
  CHECK(errors.timesteps == 0);
}

TEST_CASE("what the model's file says of a solver holds until an option stands in its place") {
  const NoiseSchedule model({.solver = {.levels = LevelSpacing::kKarras,
                                        .final_level = FinalLevel::kLowest,
                                        .order = 1,
                                        .algorithm = "sde-dpmsolver++"}});
  const auto own = DpmSolver({.num_steps = 16}).schedule(model);
  const auto given = DpmSolver({.num_steps = 16,
                                .noise = false,
                                .order = 2,
                                .type = SolverType::kHeun,
                                .spacing = TimestepSpacing::kTrailing,
                                .levels = LevelSpacing::kTimesteps,
                                .final_level = FinalLevel::kZero})
                         .schedule(model);
  CHECK(own.step(3).noise > 0);
  CHECK_FALSE(own.has_history(3));
  CHECK(own.steps.back().alpha_next < 1);
  CHECK(given.step(3).noise == 0);
  CHECK(given.has_history(3));
  CHECK(given.timestep(0) == 999);
  CHECK(given.steps.back().alpha_next == 1);
  CHECK(own.step(3).alpha != given.step(3).alpha);
}

TEST_CASE("order 1 is DDIM: eta 0 without noise, eta 1 with it") {
  // 20 and 25 divide 1000, and the levels are those of trailing timesteps: DDIM has the same ones
  double worst = 0;
  for (const bool noise : {false, true})
    for (const auto prediction : {PredictionType::kEpsilon, PredictionType::kVPrediction, PredictionType::kSample})
      for (const int steps : {20, 25}) {
        const NoiseSchedule model(
            {.prediction = prediction, .spacing = TimestepSpacing::kTrailing, .final_alpha_one = true});
        const auto solver = DpmSolver({.num_steps = steps, .noise = noise, .order = 1}).schedule(model);
        const auto ddim = Ddim({.num_steps = steps, .eta = noise ? 1.0 : 0.0}).schedule(model);
        for (int k = 0; k < steps; ++k) {
          const auto x = solver.coefficients(k), y = ddim.coefficients(k);
          CHECK(solver.timestep(k) == ddim.timestep(k));
          CHECK_FALSE(solver.has_history(k));
          worst = std::max(
              {worst, std::abs(x.latent - y.latent), std::abs(x.network - y.network), std::abs(x.noise - y.noise)});
        }
      }
  MESSAGE("worst difference: ", worst);
  CHECK(worst < 1e-12);
}

TEST_CASE("the first step is of order 1, and the last where it is told, few or clean") {
  const auto second = [](DpmSolverOptions options) {
    const auto schedule = DpmSolver(options).schedule(NoiseSchedule());
    std::vector<int> out;
    for (int k = 0; k < schedule.num_steps(); ++k)
      if (schedule.has_history(k)) out.push_back(k);
    return out;
  };
  using Steps = std::vector<int>;
  CHECK(second({.num_steps = 1}).empty());
  CHECK(second({.num_steps = 2}).empty());
  CHECK(second({.num_steps = 4}) == Steps{1, 2});
  CHECK(second({.num_steps = 4, .lower_order_final = false}) == Steps{1, 2});  // the end is clean
  const auto low = FinalLevel::kLowest;
  CHECK(second({.num_steps = 4, .final_level = low}) == Steps{1, 2});
  CHECK(second({.num_steps = 4, .final_level = low, .lower_order_final = false}) == Steps{1, 2, 3});
  CHECK(second({.num_steps = 4, .final_level = low, .lower_order_final = false, .euler_at_final = true}) ==
        Steps{1, 2});
  CHECK(second({.num_steps = 15, .final_level = low}).size() == 14);
  CHECK(second({.num_steps = 14, .final_level = low}).size() == 12);
  CHECK(second({.num_steps = 9, .order = 1}).empty());
}

TEST_CASE("noise and direction together keep the variance, and a clean end has neither") {
  for (const bool noise : {false, true}) {
    const auto schedule = DpmSolver({.num_steps = 12, .noise = noise}).schedule(NoiseSchedule());
    for (int k = 0; k < 11; ++k) {
      const auto& s = schedule.step(k);
      CHECK(s.direction * s.direction + s.noise * s.noise ==
            doctest::Approx(schedule.step(k + 1).sigma * schedule.step(k + 1).sigma).epsilon(1e-12));
      CHECK((s.noise > 0) == noise);
    }
    const auto& last = schedule.steps.back();
    CHECK((last.alpha_next == 1 && last.direction == 0 && last.noise == 0 && last.history == 0));
  }
}

TEST_CASE("objectives on log-probabilities have noise and order 1 unless the user says otherwise") {
  const auto open = DpmSolver::stochastic({});
  CHECK((open.noise == true && open.order == 1));
  const auto said = DpmSolver::stochastic({.noise = false, .order = 2});
  CHECK((said.noise == false && said.order == 2));
}

TEST_CASE("DPM-Solver++ refuses by name what it does not have") {
  CHECK_THROWS_WITH_AS(DpmSolver({.num_steps = 0}), "[DpmSolver] num_steps must be >= 1, got 0", Error);
  CHECK_THROWS_WITH_AS(DpmSolver({.order = 3}), "[DpmSolver] order must be 1 or 2, got 3", Error);
  CHECK_THROWS_WITH_AS(DpmSolver({.guidance = -1}), "[DpmSolver] guidance must be finite and >= 0, got -1", Error);
  const auto refused = [](const SolverConfig& solver, DpmSolverOptions options, const char* sentence) {
    CHECK_THROWS_WITH_AS(DpmSolver(options).schedule(NoiseSchedule({.solver = solver})), doctest::Contains(sentence),
                         Error);
  };
  refused({.order = 3}, {}, "[DpmSolver] order must be 1 or 2, got 3");
  refused({.type = "bdf"}, {}, "solver_type expected midpoint or heun, got bdf");
  refused({.algorithm = "dpmsolver"}, {}, "algorithm_type expected dpmsolver++ or sde-dpmsolver++, got dpmsolver");
  refused({.lu_lambdas = true}, {}, "use_lu_lambdas expected false, got true");
  refused({.lambda_min_clipped = 3.0}, {}, "lambda_min_clipped expected to leave more than 25 timesteps");
  refused({.lambda_min_clipped = -2.0}, {.spacing = TimestepSpacing::kTrailing}, "with leading or linspace spacing");
  refused({}, {.num_steps = 1001}, "num_steps must be in 1..1000");
  refused({}, {.num_steps = 1000, .spacing = TimestepSpacing::kLeading}, "expected noise levels that fall");
  CHECK_NOTHROW(DpmSolver({.order = 2}).schedule(NoiseSchedule({.solver = {.order = 3}})));
  CHECK_NOTHROW(DpmSolver({.noise = true}).schedule(NoiseSchedule({.solver = {.algorithm = "dpmsolver"}})));
  CHECK_NOTHROW(DpmSolver({.levels = LevelSpacing::kKarras}).schedule(NoiseSchedule({.solver = {.lu_lambdas = true}})));
  const NoiseSchedule singular({.zero_terminal_snr = true, .spacing = TimestepSpacing::kTrailing});
  CHECK_THROWS_WITH_AS(DpmSolver().schedule(singular), doctest::Contains("timestep 999 has no signal"), Error);
}

TEST_CASE("dynamic thresholding is the model's, a clamped range only the caller's") {
  using Kind = CleanClipping::Kind;
  const auto kind = [](const CleanClipping& model, std::optional<CleanClipping> own) {
    return DpmSolver({.clipping = own}).schedule(NoiseSchedule({.clipping = model})).clipping.kind;
  };
  CHECK(kind({.kind = Kind::kDynamic}, {}) == Kind::kDynamic);
  CHECK(kind({.kind = Kind::kRange}, {}) == Kind::kNone);
  CHECK(kind({}, CleanClipping{.kind = Kind::kRange}) == Kind::kRange);
  CHECK(kind({.kind = Kind::kDynamic}, CleanClipping{}) == Kind::kNone);
}

}  // namespace dpm_solver_test
