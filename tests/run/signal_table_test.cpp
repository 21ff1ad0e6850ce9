// Signal and noise of gradients that are drawn from known distributions.
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/engine/log_prob.hpp>
#include <reward_tuner/run/signal_table.hpp>

#include <doctest/doctest.h>

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace signal_table_test {
namespace {

using namespace reward_tuner;

SamplerSchedule schedule_of(int steps) { return Ddim({.num_steps = steps, .eta = 1.0}).schedule(NoiseSchedule()); }

bool holds(const Estimate& e, double truth) { return e.low <= truth && truth <= e.high; }

/// Batches whose gradient through step k is means[k] + deviations[k] * z, of P numbers.
Tensor drawn(Rng& rng, int batches, const std::vector<double>& means, const std::vector<double>& deviations,
             int numbers) {
  const auto column = [](const std::vector<double>& values) {
    return at::tensor(values, at::kDouble).view({1, -1, 1});
  };
  return column(means) +
         column(deviations) * rng.normal({batches, static_cast<std::int64_t>(means.size()), numbers}, at::kDouble);
}

}  // namespace

TEST_CASE("a signal table is the mean products of batches, and its intervals hold the truth") {
  constexpr int kSteps = 4, kBatches = 40, kNumbers = 30, kImages = 8;
  const std::vector<double> means{0.5, 0.2, 0.1, 0.02}, deviations{1.0, 1.0, 6.0, 0.5};
  const SamplerSchedule schedule = schedule_of(kSteps);
  int held = 0, asked = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Rng rng(seed);
    const StepGradients gradients{.schedule = schedule,
                                  .images = kImages,
                                  .reward = 0.25,
                                  .policy = drawn(rng, kBatches, means, deviations, kNumbers)};
    const SignalTable table = signal_table(gradients);
    CHECK((table.batches == kBatches && table.images == kBatches * kImages && !table.pathwise && table.reward == 0.25));
    REQUIRE(table.steps.size() == kSteps);
    double noise_of_all = 0;
    for (const double d : deviations) noise_of_all += d * d;
    const auto ask = [&](const Estimate& e, double truth) { ++asked, held += holds(e, truth); };
    for (std::size_t k = 0; k < kSteps; ++k) {
      const StepSignal& step = table.steps[k];
      const double signal = kNumbers * means[k] * means[k], noise = kImages * kNumbers * deviations[k] * deviations[k];
      ask(step.signal, signal);
      ask(step.noise, noise);
      ask(step.noise_share, deviations[k] * deviations[k] / noise_of_all);
      ask(step.images, noise / signal);
      CHECK(step.noise.value == doctest::Approx(noise).epsilon(0.2));
      const StepCoefficients s = schedule.coefficients(static_cast<int>(k));
      CHECK(step.quietness == std::abs(s.network) / s.noise);
    }
    for (const WeightedSignal& row : table.weightings) {
      std::vector<int> trained(static_cast<std::size_t>(kSteps - row.skip_last));
      std::iota(trained.begin(), trained.end(), 0);
      const auto weights = step_weights(schedule, trained, row.weights);
      double mean = 0, variance = 0;
      for (std::size_t k = 0; k < weights.size(); ++k) {
        mean += weights[k] * means[k];
        variance += weights[k] * weights[k] * deviations[k] * deviations[k];
      }
      ask(row.signal, kNumbers * mean * mean);
      ask(row.noise, kImages * kNumbers * variance);
      ask(row.images, kImages * variance / (mean * mean));
    }
  }
  MESSAGE("intervals that hold the truth: ", held, " of ", asked);
  CHECK(held > 0.9 * asked);
  CHECK(held < asked);  // 95% are to
}

TEST_CASE("a signal table equals its definition, and left-out steps and weights are those of the objectives") {
  Rng rng(3);
  const SamplerSchedule schedule = schedule_of(3);
  const StepGradients g{.schedule = schedule, .images = 2, .policy = rng.normal({5, 3, 7}, at::kDouble)};
  const SignalTable table = signal_table(g);
  REQUIRE(table.weightings.size() == 9);  // three kinds, each with 0, 1 and 2 steps left out
  for (const WeightedSignal& row : table.weightings) {
    std::vector<int> trained(static_cast<std::size_t>(3 - row.skip_last));
    std::iota(trained.begin(), trained.end(), 0);
    const auto weights = step_weights(schedule, trained, row.weights);
    Tensor sum = at::zeros({5, 7}, at::kDouble);
    for (const int k : trained) sum += weights[static_cast<std::size_t>(k)] * g.policy.select(1, k);
    double apart = 0, own = 0;
    for (int i = 0; i < 5; ++i)
      for (int j = 0; j < 5; ++j) {
        const double product = (sum[i] * sum[j]).sum().item<double>();
        (i == j ? own : apart) += product / (i == j ? 5 : 20);
      }
    CHECK(row.signal.value == doctest::Approx(apart));
    CHECK(row.noise.value == doctest::Approx(2 * (own - apart)));
  }
}

TEST_CASE("with a pathwise gradient signals, shares and directions are its") {
  const SamplerSchedule schedule = schedule_of(3);
  Rng rng(5);
  // orthogonal means of squared norms 9, 1, 0, without noise
  const Tensor means = at::tensor({3.0, 0.0, 0.0, 1.0, 0.0, 0.0}, at::kDouble).view({1, 3, 2});
  const StepGradients g{.schedule = schedule,
                        .images = 4,
                        .policy = means + rng.normal({6, 3, 2}, at::kDouble),
                        .pathwise = means.expand({6, 3, 2}).contiguous()};
  const SignalTable table = signal_table(g);
  CHECK(table.pathwise);
  for (std::size_t k = 0; k < 3; ++k) {
    const double square = k == 0 ? 9 : k == 1 ? 1 : 0;
    CHECK(table.steps[k].pathwise.value == doctest::Approx(square));
    CHECK(table.steps[k].pathwise_share.value == doctest::Approx(square / 10));
    CHECK(table.steps[k].signal.value == table.steps[k].pathwise.value);
    if (square > 0) CHECK(table.steps[k].images.value == doctest::Approx(table.steps[k].noise.value / square));
    else CHECK(std::isinf(table.steps[k].images.high));
  }
  const auto weights = step_weights(schedule, {0, 1, 2}, StepWeights::kNoise);
  const double x = 3 * weights[0], y = weights[1];
  for (const WeightedSignal& row : table.weightings)
    if (row.weights == StepWeights::kNoise && row.skip_last == 0) {
      CHECK(row.signal.value == doctest::Approx(x * x + y * y));
      CHECK(row.cosine.value == doctest::Approx((3 * x + y) / std::sqrt(10 * (x * x + y * y))));
    }
  const StepGradients none{.schedule = schedule, .images = 4, .policy = g.policy, .pathwise = at::zeros_like(g.policy)};
  CHECK_FALSE(std::isfinite(signal_table(none).weightings.at(0).cosine.value));  // a direction that is not there
  const auto json = to_json(table);
  CHECK(json.at("steps").at(2).at("images").at("high").is_null());
  CHECK(json.at("weightings").at(0).at("weights") == "kEqual");
  CHECK(json.at("steps").at(0).at("pathwise_share").at("value") == doctest::Approx(0.9));
}

TEST_CASE("a signal table of too little is refused") {
  const SamplerSchedule schedule = schedule_of(3);
  CHECK_THROWS_WITH_AS(signal_table({.schedule = schedule, .policy = at::zeros({2, 3, 4}, at::kDouble)}),
                       "[SignalMeter] expected at least 3 batches, got 2", Error);
  CHECK_THROWS_WITH_AS(signal_table({.schedule = schedule, .policy = at::zeros({4, 2, 4}, at::kDouble)}),
                       doctest::Contains("[SignalMeter] expected gradients [B,3,P]"), Error);
  CHECK_THROWS_WITH_AS(signal_table({.schedule = schedule}), doctest::Contains("expected gradients [B,3,P]"), Error);
}

}  // namespace signal_table_test
