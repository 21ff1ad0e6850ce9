// FlowEuler against diffusers' trajectories, hand-computed levels, and a flow whose velocity is exactly known.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/engine/adjoint.hpp>
#include <reward_tuner/samplers/any_sampler.hpp>
#include <reward_tuner/samplers/flow_euler.hpp>

#include <tests/reference/gaussian_pipeline.hpp>
#include <tests/reference/solver_golden.hpp>

namespace flow_euler_test {

using namespace reward_tuner;

const NoiseSchedule kFlow({.prediction = PredictionType::kFlow});

/// q(0) .. q(T).
std::vector<double> shares(const SamplerSchedule& schedule) {
  std::vector<double> out;
  for (const SamplerStep& step : schedule.steps) out.push_back(step.sigma);
  out.push_back(schedule.steps.back().direction);
  return out;
}

TEST_CASE("FlowEuler follows diffusers' trajectories: even levels and the training's, static and dynamic shift") {
  double worst = 0;
  const auto errors =
      reference::solver_errors("FlowMatchEulerDiscreteScheduler", false, [&](const nlohmann::json& file) {
        const auto& config = file.at("config");
        const auto& told = file.at("told");
        FlowEulerOptions options{.num_steps = file.at("steps").get<int>(),
                                 .spacing = told.contains("sigmas") ? FlowSpacing::kEven : FlowSpacing::kTraining,
                                 .shift = config.value("shift", 1.0)};
        if (told.contains("mu")) options.mu = told.at("mu").get<double>();
        const auto schedule = FlowEuler(options).schedule(
            NoiseSchedule({.num_train_steps = config.at("num_train_timesteps").get<std::int64_t>(),
                           .prediction = PredictionType::kFlow}));
        const auto ours = shares(schedule), theirs = file.at("sigmas").get<std::vector<double>>();
        REQUIRE(ours.size() == theirs.size());
        for (std::size_t k = 0; k < ours.size(); ++k) worst = std::max(worst, std::abs(ours[k] - theirs[k]));
        return schedule;
      });
  MESSAGE(errors.cases, " files; latents ", errors.latents, ", timesteps ", errors.timesteps, ", levels ", worst);
  CHECK(errors.cases == 41);
  CHECK(worst < 1e-6);  // theirs are in single precision
}

TEST_CASE("levels by hand: even, shifted once, shifted twice, and exp(mu) is a shift") {
  const auto levels = [](FlowEulerOptions options) { return shares(FlowEuler(options).schedule(kFlow)); };
  const auto equal = [](const std::vector<double>& a, const std::vector<double>& b) {
    REQUIRE(a.size() == b.size());
    for (std::size_t k = 0; k < a.size(); ++k) CHECK(a[k] == doctest::Approx(b[k]).epsilon(1e-14));
  };
  equal(levels({.num_steps = 4}), {1, 0.75, 0.5, 0.25, 0});
  equal(levels({.num_steps = 4, .shift = 3}), {1, 0.9, 0.75, 0.5, 0});
  const double last = 0.003 / 1.002, middle = (1 + last) / 2;  // 3q/(1 + 2q) of q = 1/1000
  equal(levels({.num_steps = 3, .spacing = FlowSpacing::kTraining, .shift = 3}),
        {1, 3 * middle / (1 + 2 * middle), 3 * last / (1 + 2 * last), 0});
  equal(levels({.num_steps = 5, .mu = std::log(3)}), levels({.num_steps = 5, .shift = 3}));
  equal(levels({.num_steps = 3, .spacing = FlowSpacing::kTraining, .mu = 0.0}), {1, 0.5005, 0.001, 0});
  equal(levels({.num_steps = 1}), {1, 0});
  equal(levels({.num_steps = 1, .spacing = FlowSpacing::kTraining, .shift = 1e-20}), {1, 0});
  CHECK(FlowEuler({.num_steps = 4, .shift = 3}).schedule(kFlow).timestep(1) == doctest::Approx(900));
  CHECK(FlowEuler({.num_steps = 4})
            .schedule(NoiseSchedule({.num_train_steps = 1, .prediction = PredictionType::kFlow}))
            .timestep(1) == 0.75);
}

TEST_CASE("a step adds the velocity times the fall of q, and under StopInput its cotangent is that factor") {
  for (const double shift : {1.0, 3.0, 0.4}) {
    const auto schedule = FlowEuler({.num_steps = 12, .shift = shift}).schedule(kFlow);
    const auto q = shares(schedule);
    CHECK(schedule.start_scale == 1);
    for (int k = 0; k < 12; ++k) {
      const auto at = static_cast<std::size_t>(k);
      const auto [a, b, c] = schedule.coefficients(k);
      CHECK(a == doctest::Approx(1).epsilon(1e-15));
      CHECK(b == doctest::Approx(q[at + 1] - q[at]).epsilon(1e-14));
      CHECK(c == 0);
    }
    const StepPlan to_end{.last = 11, .jumps = false, .trained = {0, 5, 11}},
        jump{.last = 8, .jumps = true, .trained = {1, 8}};
    const auto ended = closed_form_cotangents(schedule, to_end), jumped = closed_form_cotangents(schedule, jump);
    for (const int k : to_end.trained)
      CHECK(ended(k) == doctest::Approx(q[static_cast<std::size_t>(k) + 1] - q[static_cast<std::size_t>(k)]));
    CHECK(jumped(1) == doctest::Approx(q[2] - q[1]));
    CHECK(jumped(8) == doctest::Approx(-q[8]));
  }
}

TEST_CASE("FlowEuler samples the Gaussian whose velocity it is given") {
  reference::GaussianPipeline pipeline(
      {.mean = 0.7, .deviation = 0.4, .schedule = {.prediction = PredictionType::kFlow}});
  std::vector<std::uint64_t> seeds(64);
  for (std::size_t i = 0; i < seeds.size(); ++i) seeds[i] = i;
  for (const double shift : {1.0, 3.0}) {
    SampleNoise noise(seeds);
    NetworkCounts counts;
    const auto schedule = FlowEuler({.num_steps = 200, .shift = shift}).schedule(pipeline.noise_schedule());
    const Tensor clean =
        rollout(pipeline, sampling_setup(schedule, pipeline.encode(std::vector<std::string>(64, "x")), 1.0), noise,
                counts)
            .clean;
    const double mean = clean.mean().item<double>(), deviation = clean.std().item<double>();
    CHECK(std::abs(mean - 0.7) < 0.03);  // 3072 numbers: 0.4/sqrt(3072) = 0.007 by chance
    CHECK(std::abs(deviation - 0.4) < 0.03);
  }
}

TEST_CASE("clipping is the model's own unless it is given, and no step has a density") {
  const CleanClipping range{.kind = CleanClipping::Kind::kRange, .range = 2};
  const NoiseSchedule clips({.prediction = PredictionType::kFlow, .clipping = range});
  CHECK(FlowEuler().schedule(kFlow).linear());
  CHECK(FlowEuler().schedule(clips).clipping == range);
  CHECK(FlowEuler({.clipping = CleanClipping{}}).schedule(clips).linear());
  CHECK(FlowEuler({.clipping = range}).schedule(kFlow).clipping == range);
  static_assert(!StochasticSampler<FlowEuler>);
}

TEST_CASE("FlowEuler refuses by name what it cannot sample, and other samplers refuse a flow") {
  CHECK_THROWS_WITH_AS(FlowEuler({.num_steps = 0}), "[FlowEuler] num_steps must be >= 1, got 0", Error);
  CHECK_THROWS_WITH_AS(FlowEuler({.guidance = std::nan("")}), doctest::Contains("[FlowEuler] guidance must be finite"),
                       Error);
  CHECK_THROWS_WITH_AS(FlowEuler({.shift = 0}), "[FlowEuler] shift must be finite and > 0, got 0", Error);
  CHECK_THROWS_WITH_AS(FlowEuler({.shift = std::nan("")}), doctest::Contains("shift must be finite and > 0"), Error);
  CHECK_THROWS_WITH_AS(FlowEuler({.mu = 1000}), "[FlowEuler] mu expected a finite exp(mu) > 0, got mu 1000", Error);
  CHECK_THROWS_WITH_AS(FlowEuler({.shift = 3, .mu = 1}),
                       "[FlowEuler] mu stands in place of shift: expected one of them, got 1 and 3", Error);
  CHECK_THROWS_WITH_AS(FlowEuler({.shift = 1e30}).schedule(kFlow),
                       doctest::Contains("[FlowEuler] expected noise levels that fall from step to step, got 1 and 1"),
                       Error);
  CHECK_THROWS_WITH_AS(FlowEuler().schedule(NoiseSchedule()),
                       "[FlowEuler] expected a flow network (PredictionType::kFlow), got one trained on betas", Error);
  for (const char* name : {"ddim", "ddpm", "dpm++", "sde-dpm++", "euler", "euler-ancestral"})
    CHECK_THROWS_WITH_AS(AnySampler({.name = name, .num_steps = 5}).schedule(kFlow),
                         doctest::Contains("a flow has no abar: expected a network trained on betas"), Error);
}

}  // namespace flow_euler_test
