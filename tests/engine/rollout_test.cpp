// The forward pass: trajectories against a plain loop, against the exactly known Gaussian, and what is kept of them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/engine/rollout.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/ddpm.hpp>
#include <reward_tuner/samplers/dpm_solver.hpp>
#include <reward_tuner/samplers/euler.hpp>

#include <tests/reference/gaussian_pipeline.hpp>
#include <tests/reference/plain_sampler.hpp>
#include <tests/reference/toy_pipeline.hpp>

namespace rollout_test {
namespace {

using namespace reward_tuner;

/// Every latent of an ordinary rollout.
std::vector<Tensor> path(reference::GaussianPipeline& pipeline, const SamplerSchedule& schedule,
                         std::vector<std::uint64_t> seeds, double guidance = 1.0) {
  SampleNoise noise(seeds);
  NetworkCounts counts;
  std::vector<Tensor> out;
  rollout(pipeline, sampling_setup(schedule, pipeline.encode(std::vector<std::string>(seeds.size(), "x")), guidance),
          noise, counts, {.observer = [&](const RolloutStep& step) { out.push_back(step.next.clone()); }});
  return out;
}

}  // namespace
}  // namespace rollout_test

TEST_CASE("trajectories equal a scalar loop over plain doubles at every step") {
  using namespace rollout_test;
  double worst = 0;
  for (const bool ddpm : {false, true})
    for (const auto prediction : {PredictionType::kEpsilon, PredictionType::kVPrediction, PredictionType::kSample}) {
      reference::GaussianPipeline pipeline({.mean = 0.7, .deviation = 0.4, .schedule = {.prediction = prediction}});
      const auto schedule = ddpm ? Ddpm({.num_steps = 20}).schedule(pipeline.noise_schedule())
                                 : Ddim({.num_steps = 20, .eta = 0.5}).schedule(pipeline.noise_schedule());
      const auto latents = path(pipeline, schedule, {1, 2}, 3.0);  // both guidance halves are equal here
      const auto levels = reference::plain_levels({.ddpm = ddpm, .num_steps = 20});
      SampleNoise noise({1, 2});
      const auto draw = [&] {
        const Tensor z = noise.normal({2, 3, 4, 4}, at::kDouble).contiguous();
        return std::vector<double>(z.data_ptr<double>(), z.data_ptr<double>() + z.numel());
      };
      std::vector<double> x = draw();
      for (std::size_t k = 0; k < 20; ++k) {
        const auto& l = levels[k];
        const double a = std::sqrt(l.abar), s = std::sqrt(1 - l.abar), sigma = s / a,
                     next = std::sqrt((1 - l.abar_next) / l.abar_next), a_next = std::sqrt(l.abar_next);
        const double eta = ddpm ? 1.0 : 0.5, u = eta * next * std::sqrt(sigma * sigma - next * next) / sigma,
                     kappa = ddpm ? next * next / sigma : std::sqrt(next * next - u * u);
        const std::vector<double> z = u > 0 ? draw() : std::vector<double>(x.size());
        const double* mine = latents[k].data_ptr<double>();
        for (std::size_t i = 0; i < x.size(); ++i) {
          const double eps = s * (x[i] - a * 0.7) / (l.abar * 0.16 + s * s);
          x[i] = a_next * ((x[i] / a) + (kappa - sigma) * eps + u * z[i]);  // Euler ancestral in x/alpha
          worst = std::max(worst, std::abs(x[i] - mine[i]));
        }
      }
    }
  MESSAGE("worst error: ", worst);
  CHECK(worst < 1e-10);
}

TEST_CASE("samplers reproduce the Gaussian whose denoiser they are given") {
  using namespace rollout_test;
  std::vector<std::uint64_t> seeds(64);
  for (std::size_t i = 0; i < seeds.size(); ++i) seeds[i] = i;
  reference::GaussianPipeline pipeline({.mean = 0.7, .deviation = 0.4});
  for (const double eta : {0.0, 1.0}) {
    const Tensor clean =
        path(pipeline, Ddim({.num_steps = 200, .eta = eta}).schedule(pipeline.noise_schedule()), seeds).back();
    const double mean = clean.mean().item<double>(), deviation = clean.std().item<double>();
    CHECK(std::abs(mean - 0.7) < 0.03);  // 3072 numbers: 0.4/sqrt(3072) = 0.007 by chance
    CHECK(std::abs(deviation - 0.4) < 0.03);
  }
}

TEST_CASE("a rollout keeps the latents of trained steps only, and outputs only where clipping needs them") {
  using namespace rollout_test;
  reference::ToyPipeline pipeline;
  const auto run = [&](const CleanClipping& clipping, StepPlan plan) {
    SampleNoise noise({1, 2});
    NetworkCounts counts;
    const auto schedule = Ddim({.num_steps = 6, .clipping = clipping}).schedule(pipeline.noise_schedule());
    auto out = rollout(pipeline, sampling_setup(schedule, pipeline.encode({"a", "b"}), 3.0).with(std::move(plan)),
                       noise, counts);
    CHECK(counts.forwards == out.setup.plan.last + 1);
    return out;
  };
  const auto linear = run({}, {.last = 4, .jumps = true, .trained = {1, 3}});
  const auto clipped = run({.kind = CleanClipping::Kind::kRange}, {.last = 4, .jumps = true, .trained = {1, 3}});
  for (int k = 0; k < 6; ++k) {
    CHECK(linear.latent(k).defined() == (k == 1 || k == 3));
    CHECK_FALSE(linear.output(k).defined());
    CHECK(clipped.latent(k).defined() == (k >= 1 && k <= 4));
    CHECK(clipped.output(k).defined() == (k >= 1 && k <= 4));
  }
  CHECK_FALSE(linear.clean.requires_grad());
}

TEST_CASE("an early stop decodes the one-shot prediction of its step") {
  using namespace rollout_test;
  reference::ToyPipeline pipeline;
  SampleNoise noise({1});
  NetworkCounts counts;
  Tensor before;
  const auto schedule = Ddim({.num_steps = 6}).schedule(pipeline.noise_schedule());
  const auto condition = pipeline.encode({"a"});
  const RolloutSetup setup = sampling_setup(schedule, condition, 1.0).with({.last = 3, .jumps = true, .trained = {3}});
  const auto out = rollout(pipeline, setup, noise, counts, {.observer = [&](const RolloutStep& step) {
                             if (step.k == 2) before = step.next;
                           }});
  const Tensor output = pipeline.predict(before, at::full({1}, schedule.timestep(3), at::kLong), condition.positive);
  const double abar = pipeline.noise_schedule().abar(schedule.timestep(3));
  CHECK(at::allclose(out.clean, (before - std::sqrt(1 - abar) * output) / std::sqrt(abar), 1e-12, 1e-12));
}

TEST_CASE("start latents replace the first noise; a wrong shape is a named error") {
  using namespace rollout_test;
  reference::ToyPipeline pipeline;
  const auto schedule = Ddim({.num_steps = 2}).schedule(pipeline.noise_schedule());
  const auto run = [&](const Tensor& start) {
    SampleNoise noise({1});
    NetworkCounts counts;
    const RolloutSetup setup = sampling_setup(schedule, pipeline.encode({"a"}), 1.0);
    return rollout(pipeline, setup, noise, counts, {.start = start}).clean;
  };
  SampleNoise noise({1});
  CHECK(run({}).equal(run(noise.normal({1, 2, 4, 4}, at::kDouble))));
  CHECK_FALSE(run({}).equal(run(at::zeros({1, 2, 4, 4}, at::kDouble))));
  CHECK_THROWS_WITH_AS(run(at::zeros({1, 2, 4, 5}, at::kDouble)),
                       doctest::Contains("start latents expected shape [1, 2, 4, 4], got [1, 2, 4, 5]"), Error);
}

TEST_CASE("a rollout cut in two goes on with the clean prediction before the cut, as one that was not cut") {
  using namespace rollout_test;
  using Kind = CleanClipping::Kind;
  reference::ToyPipeline pipeline;
  for (const auto& clipping : {CleanClipping{}, CleanClipping{.kind = Kind::kRange, .range = 0.5}})
    for (const bool noise_each : {false, true}) {
      const auto schedule =
          DpmSolver({.num_steps = 6, .noise = noise_each, .clipping = clipping}).schedule(pipeline.noise_schedule());
      const RolloutSetup setup = sampling_setup(schedule, pipeline.encode({"a", "b"}), 3.0);
      NetworkCounts counts;
      SampleNoise whole({1, 2}), parts({1, 2});
      const Tensor truth = rollout(pipeline, setup, whole, counts).clean;
      for (const int cut : {3}) {
        const Trajectory first = rollout(pipeline, setup, parts, counts, {.end = cut});
        REQUIRE(first.before.defined());
        const RolloutOptions rest{.start = first.clean, .before = first.before, .begin = cut};
        CHECK(rollout(pipeline, setup, parts, counts, rest).clean.equal(truth));
        CHECK_THROWS_WITH_AS(rollout(pipeline, setup, parts, counts, {.start = first.clean, .begin = cut}),
                             doctest::Contains("step 3 continues with the clean prediction of the step before"), Error);
      }
    }
}

TEST_CASE("the start noise is scaled to the sampler's first level; given latents are not") {
  using namespace rollout_test;
  reference::ToyPipeline pipeline;
  const auto schedule =
      Euler({.num_steps = 3, .spacing = TimestepSpacing::kLinspace, .levels = LevelSpacing::kTimesteps})
          .schedule(pipeline.noise_schedule());
  REQUIRE(schedule.start_scale < 1);
  const auto first = [&](const Tensor& start) {
    SampleNoise noise({1});
    NetworkCounts counts;
    Tensor latent;
    rollout(pipeline, sampling_setup(schedule, pipeline.encode({"a"}), 1.0), noise, counts,
            {.start = start, .observer = [&](const RolloutStep& step) {
               if (step.k == 0) latent = step.latent;
             }});
    return latent;
  };
  SampleNoise noise({1});
  const Tensor z = noise.normal({1, 2, 4, 4}, at::kDouble);
  CHECK(first({}).equal(schedule.start_scale * z));
  CHECK(first(z).equal(z));
}

TEST_CASE("a sample that is noised again starts anew: its last step is a prediction from its own latent") {
  using namespace rollout_test;
  reference::ToyPipeline pipeline;
  const auto schedule =
      DpmSolver({.num_steps = 16, .final_level = FinalLevel::kLowest}).schedule(pipeline.noise_schedule());
  REQUIRE(schedule.has_history(15));
  SampleNoise noise({1}), copy({1});
  NetworkCounts counts;
  const auto condition = pipeline.encode({"a"});
  const Trajectory finished = rollout(pipeline, sampling_setup(schedule, condition, 1.0), noise, counts);
  const Trajectory replica = renoised(pipeline, finished, noise, counts);
  copy.normal({1, 2, 4, 4}, at::kDouble);  // the start
  const auto& last = schedule.steps.back();
  const Tensor latent = last.alpha * finished.clean + last.sigma * copy.normal({1, 2, 4, 4}, at::kDouble);
  const Tensor output = pipeline.predict(latent, at::full({1}, last.timestep, at::kLong), condition.positive);
  CHECK(at::allclose(replica.clean, (latent - last.sigma * output) / last.alpha, 1e-12, 1e-12));
}
