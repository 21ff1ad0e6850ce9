// The log-density of sampler transitions: the Gaussian's closed form, reductions, mixed steps and slopes, in double.
#include <doctest/doctest.h>

#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <torch/autograd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/engine/log_prob.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/ddpm.hpp>
#include <reward_tuner/samplers/dpm_solver.hpp>
#include <reward_tuner/samplers/euler_ancestral.hpp>
#include <reward_tuner/tensor/rng.hpp>

#include <tests/reference/plain_sampler.hpp>

namespace log_prob_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

constexpr int kSteps = 6;
constexpr std::int64_t kChannels = 2, kSide = 3, kD = kChannels * kSide * kSide;

std::vector<PlainSampler> samplers() {
  using Kind = CleanClipping::Kind;
  std::vector<PlainSampler> out;
  for (const auto prediction : {PredictionType::kEpsilon, PredictionType::kVPrediction, PredictionType::kSample})
    for (const auto& clipping : {CleanClipping{}, CleanClipping{.kind = Kind::kRange, .range = 0.8},
                                 CleanClipping{.kind = Kind::kDynamic, .quantile = 0.9, .max = 2.0}}) {
      out.push_back({.eta = 0.4, .num_steps = kSteps, .prediction = prediction, .clipping = clipping});
      out.push_back({.eta = 1.0, .num_steps = kSteps, .prediction = prediction, .clipping = clipping});
      if (clipping.kind != Kind::kNone)
        out.push_back(
            {.eta = 0.7, .num_steps = kSteps, .prediction = prediction, .clipping = clipping, .rederive = true});
      out.push_back({.ddpm = true, .num_steps = kSteps, .prediction = prediction, .clipping = clipping});
      for (const auto solver : {PlainSolver::kSdeDpm, PlainSolver::kAncestral})
        out.push_back({.num_steps = kSteps,
                       .prediction = prediction,
                       .clipping = clipping,
                       .solver = solver,
                       .order = 1,
                       .karras = true});
      out.push_back(
          {.ddpm = true, .fixed_large = true, .num_steps = kSteps, .prediction = prediction, .clipping = clipping});
    }
  return out;
}

SamplerSchedule schedule_of(const PlainSampler& s) {
  const NoiseSchedule noise({.prediction = s.prediction, .spacing = s.spacing});
  const auto levels = s.karras ? LevelSpacing::kKarras : LevelSpacing::kTimesteps;
  if (s.solver == PlainSolver::kAncestral)
    return EulerAncestral({.num_steps = s.num_steps, .levels = levels, .clipping = s.clipping}).schedule(noise);
  if (s.solver == PlainSolver::kSdeDpm)
    return DpmSolver(
               {.num_steps = s.num_steps, .noise = true, .order = s.order, .levels = levels, .clipping = s.clipping})
        .schedule(noise);
  if (s.ddpm)
    return Ddpm({.num_steps = s.num_steps,
                 .variance = s.fixed_large ? DdpmVariance::kFixedLarge : DdpmVariance::kFixedSmall,
                 .clipping = s.clipping})
        .schedule(noise);
  return Ddim({.num_steps = s.num_steps, .eta = s.eta, .clipping = s.clipping, .use_clipped_output = s.rederive})
      .schedule(noise);
}

struct Rows {
  std::vector<int> steps;
  Tensor latents, outputs, next;  // [n,C,h,w]
};

/// One row at every step with noise, then each again in reverse order.
Rows rows_of(const SamplerSchedule& schedule, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<int> all(kSteps);
  for (int k = 0; k < kSteps; ++k) all[static_cast<std::size_t>(k)] = k;
  Rows rows{.steps = stochastic_steps(schedule, all), .latents = {}, .outputs = {}, .next = {}};
  const std::vector<int> once = rows.steps;
  rows.steps.insert(rows.steps.end(), once.rbegin(), once.rend());
  const std::vector<std::int64_t> shape = {static_cast<std::int64_t>(rows.steps.size()), kChannels, kSide, kSide};
  rows.latents = rng.normal(shape, at::kDouble);
  rows.outputs = rng.normal(shape, at::kDouble);
  rows.next = rows.latents + 0.3 * rng.normal(shape, at::kDouble);
  return rows;
}

}  // namespace
}  // namespace log_prob_test

TEST_CASE("log-probabilities are the Gaussian's closed form, number by number") {
  using namespace log_prob_test;
  double worst = 0;
  for (const PlainSampler& sampler : samplers())
    for (const std::uint64_t seed : {1, 2, 3}) {
      const SamplerSchedule schedule = schedule_of(sampler);
      const Rows rows = rows_of(schedule, seed);
      // [n]
      const Tensor sum =
          transition_log_probs(schedule, rows.steps, rows.latents, rows.outputs, rows.next, LogProbReduction::kSum);
      REQUIRE((sum.scalar_type() == at::kDouble));
      const auto levels = plain_levels(sampler);
      for (std::size_t i = 0; i < rows.steps.size(); ++i) {
        const auto at_i = static_cast<std::int64_t>(i);
        const auto& level = levels[static_cast<std::size_t>(rows.steps[i])];
        const double c = plain_noise(sampler, level);
        const Tensor mean = plain_mean(sampler, level, rows.latents.narrow(0, at_i, 1), rows.outputs.narrow(0, at_i, 1))
                                .flatten()
                                .contiguous(),
                     next = rows.next[at_i].flatten().contiguous();
        double density = 0;
        for (std::int64_t d = 0; d < kD; ++d) {
          const double z = next[d].item<double>() - mean[d].item<double>();
          density += std::log(1.0 / (c * std::sqrt(2 * M_PI))) - z * z / (2 * c * c);
        }
        worst = std::max(worst, std::abs(sum[at_i].item<double>() - density) / std::max(1.0, std::abs(density)));
      }
    }
  MESSAGE("worst relative error ", worst);
  CHECK(worst < 1e-11);
}

TEST_CASE("the mean is the sum divided by D, for values and slopes") {
  using namespace log_prob_test;
  for (const PlainSampler& sampler : samplers()) {
    const SamplerSchedule schedule = schedule_of(sampler);
    const Rows rows = rows_of(schedule, 4);
    const Tensor h = rows.outputs.clone().requires_grad_();
    const Tensor sum = transition_log_probs(schedule, rows.steps, rows.latents, h, rows.next, LogProbReduction::kSum);
    const Tensor mean = transition_log_probs(schedule, rows.steps, rows.latents, h, rows.next, LogProbReduction::kMean);
    CHECK(at::allclose(sum / static_cast<double>(kD), mean, 1e-13, 1e-13));
    CHECK(at::allclose(torch::autograd::grad({sum.sum()}, {h})[0] / static_cast<double>(kD),
                       torch::autograd::grad({mean.sum()}, {h})[0], 1e-13, 1e-13));
  }
}

TEST_CASE("rows of different steps in one call equal calls of their own bit for bit, in any order") {
  using namespace log_prob_test;
  for (const PlainSampler& sampler : samplers())
    for (const auto reduction : {LogProbReduction::kMean, LogProbReduction::kSum}) {
      const SamplerSchedule schedule = schedule_of(sampler);
      const Rows rows = rows_of(schedule, 5);
      const Tensor together =
          transition_log_probs(schedule, rows.steps, rows.latents, rows.outputs, rows.next, reduction);
      std::vector<Tensor> apart;
      for (std::size_t i = 0; i < rows.steps.size(); ++i) {
        const auto at_i = static_cast<std::int64_t>(i);
        apart.push_back(transition_log_probs(schedule, {rows.steps[i]}, rows.latents.narrow(0, at_i, 1),
                                             rows.outputs.narrow(0, at_i, 1), rows.next.narrow(0, at_i, 1), reduction));
      }
      CHECK(together.equal(at::cat(apart)));
    }
}

TEST_CASE("the slope with respect to the network's output equals central finite differences, clipped or not") {
  using namespace log_prob_test;
  double worst = 0;
  for (const PlainSampler& sampler : samplers())
    for (const std::uint64_t seed : {6, 7}) {
      const SamplerSchedule schedule = schedule_of(sampler);
      const Rows rows = rows_of(schedule, seed);
      const Tensor h = rows.outputs.clone().requires_grad_();
      const auto value = [&](const Tensor& output) {
        return transition_log_probs(schedule, rows.steps, rows.latents, output, rows.next, LogProbReduction::kMean);
      };
      const Tensor gradient = torch::autograd::grad({value(h).sum()}, {h})[0];  // [n,C,h,w]
      Rng rng(seed + 10);
      for (int direction = 0; direction < 3; ++direction) {
        const Tensor d = rng.normal(h.sizes(), at::kDouble);
        const Tensor slopes = (gradient * d).flatten(1).sum(1);  // [n]
        const double step = 1e-7;
        // [n]
        const Tensor measured = (value(rows.outputs + step * d) - value(rows.outputs - step * d)).detach() / (2 * step);
        worst = std::max(worst, ((measured - slopes).abs() / (1 + slopes.abs())).max().item<double>());
      }
    }
  MESSAGE("worst error ", worst);
  CHECK(worst < 2e-5);
}

TEST_CASE("reduced precision of latents and outputs is lifted to double before anything is computed") {
  using namespace log_prob_test;
  const SamplerSchedule schedule = schedule_of({.eta = 1.0, .num_steps = kSteps});
  const Rows rows = rows_of(schedule, 8);
  const Tensor x = rows.latents.to(at::kFloat), h = rows.outputs.to(at::kBFloat16), next = rows.next.to(at::kFloat);
  const Tensor low = transition_log_probs(schedule, rows.steps, x, h, next, LogProbReduction::kMean);
  CHECK(low.equal(transition_log_probs(schedule, rows.steps, x.to(at::kDouble), h.to(at::kDouble), next.to(at::kDouble),
                                       LogProbReduction::kMean)));
}

TEST_CASE("a step that continues with the step before has no density given its latent alone") {
  using namespace log_prob_test;
  const SamplerSchedule schedule = schedule_of({.num_steps = kSteps, .solver = PlainSolver::kSdeDpm, .order = 2});
  const Tensor x = at::zeros({1, kChannels, kSide, kSide}, at::kDouble);
  const auto density = [&](int k) { return transition_log_probs(schedule, {k}, x, x, x, LogProbReduction::kMean); };
  CHECK_NOTHROW(density(0));
  CHECK_THROWS_WITH_AS(
      density(2), doctest::Contains("[LogProb] a density given the latent alone expected a step of order 1"), Error);
}

TEST_CASE("step weights are 1, or noise over the network's factor, or its square, with mean 1") {
  using namespace log_prob_test;
  const std::vector<int> steps = {0, 2, 4, 5};
  for (const PlainSampler& sampler :
       {PlainSampler{.eta = 1.0, .num_steps = kSteps}, PlainSampler{.eta = 0.4, .num_steps = kSteps},
        PlainSampler{.eta = 1.0, .num_steps = kSteps, .prediction = PredictionType::kVPrediction}}) {
    const SamplerSchedule schedule = schedule_of(sampler);
    CHECK(step_weights(schedule, steps, StepWeights::kEqual) == std::vector<double>(4, 1.0));
    const auto noise = step_weights(schedule, steps, StepWeights::kNoise),
               squared = step_weights(schedule, steps, StepWeights::kNoiseSquared);
    CHECK(std::accumulate(noise.begin(), noise.end(), 0.0) == doctest::Approx(4));
    CHECK(std::accumulate(squared.begin(), squared.end(), 0.0) == doctest::Approx(4));
    const Tensor x = at::zeros({1, kChannels, kSide, kSide}, at::kDouble);
    std::vector<double> sizes;  // of the gradient of a log-probability whose noise z is 1 everywhere
    for (const int k : steps) {
      const auto level = plain_levels(sampler)[static_cast<std::size_t>(k)];
      const Tensor h = at::zeros_like(x).requires_grad_();
      const Tensor next = plain_mean(sampler, level, x, h).detach() + plain_noise(sampler, level);
      sizes.push_back(
          torch::autograd::grad({transition_log_probs(schedule, {k}, x, h, next, LogProbReduction::kMean)}, {h})[0]
              .norm()
              .item<double>());
    }
    for (std::size_t i = 0; i < steps.size(); ++i) {
      CHECK(noise[i] * sizes[i] == doctest::Approx(noise[0] * sizes[0]));
      CHECK(squared[i] * sizes[i] * sizes[i] == doctest::Approx(squared[0] * sizes[0] * sizes[0]));
    }
  }
}

TEST_CASE("steps with a density are the trained ones with noise") {
  using namespace log_prob_test;
  const std::vector<int> some = {1, 3, 5}, all = {0, 1, 2, 3, 4, 5};
  CHECK(stochastic_steps(schedule_of({.eta = 0.3, .num_steps = kSteps}), some) == some);
  CHECK(stochastic_steps(schedule_of({.eta = 0.0, .num_steps = kSteps}), all).empty());
  const auto ddpm = stochastic_steps(schedule_of({.ddpm = true, .num_steps = kSteps}), all);
  CHECK(ddpm == std::vector<int>{0, 1, 2, 3, 4});  // the last step of DDPM has none
  CHECK(stochastic_steps(schedule_of({.ddpm = true, .num_steps = kSteps}), {5}).empty());
  CHECK(stochastic_steps(schedule_of({.eta = 1.0, .num_steps = kSteps}), {}).empty());
}
