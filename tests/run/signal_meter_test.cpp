// The signal meter against closed forms: a network that is one trained number a channel makes every step Gaussian.
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/run/signal_meter.hpp>

#include <doctest/doctest.h>

#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/dpm_solver.hpp>

#include <tests/reference/gaussian_pipeline.hpp>
#include <tests/reference/target_reward.hpp>
#include <tests/reference/unrolled.hpp>

namespace signal_meter_test {
namespace {

using namespace reward_tuner;

/// Its output is the trained number of the channel, whatever the latent: latent(k+1) = a*latent(k) + b*theta + c*z.
class ConstantPipeline : public reference::GaussianPipeline {
 public:
  Tensor predict(const Tensor& x, const Tensor&, const Conditioning&) { return theta_.expand_as(x); }
  std::vector<Tensor> parameters() const { return {theta_}; }

 private:
  Tensor theta_ = at::zeros({3, 1, 1}, at::kDouble).requires_grad_();
};
static_assert(DiffusionPipeline<ConstantPipeline>);

Tensor brightness(const Tensor& images) { return images.mean({1, 2, 3}); }

constexpr double kWeight = 0.25 / 48;  // of a latent's number in the reward
constexpr int kOfChannel = 16, kChannels = 3;

/// What the meter should find: the reward is linear, so all is Gaussian and fourth moments are known.
struct Truth {
  Truth(const SamplerSchedule& table, int images) : schedule(table), each(images) {
    const int T = schedule.num_steps();
    double carried = 1, variance = 0;  // dclean/dlatent(k+1); of the reward over weight^2 and numbers
    mean.resize(static_cast<std::size_t>(T));
    for (int k = T - 1; k >= 0; --k) {
      const auto [a, b, c] = schedule.coefficients(k);
      mean[static_cast<std::size_t>(k)] = b * carried * kWeight * kOfChannel;
      variance += c * c * carried * carried;
      carried *= a;
    }
    variance += carried * carried;
    of_advantage = kWeight * kWeight * 48 * variance * (1 + 1.0 / (each - 1));
  }
  /// Of the steps under these weights.
  double signal(const std::vector<int>& steps, const std::vector<double>& weights) const {
    double m = 0;
    for (std::size_t i = 0; i < steps.size(); ++i) m += weights[i] * mean[static_cast<std::size_t>(steps[i])];
    return kChannels * m * m;
  }
  /// By Isserlis' theorem: A and the score s are Gaussian with E[A s] = mean; two images of a group share their means.
  double noise(const std::vector<int>& steps, const std::vector<double>& weights) const {
    double squares = 0;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const auto [a, b, c] = schedule.coefficients(steps[i]);
      squares += std::pow(weights[i] * b / c, 2);
    }
    return kChannels * of_advantage * kOfChannel * squares + signal(steps, weights) * (1 + 1.0 / (each - 1));
  }
  SamplerSchedule schedule;
  int each;
  std::vector<double> mean;  // of each step's gradient by a channel's number
  double of_advantage = 0;   // variance
};

bool holds(const Estimate& e, double truth) { return e.low <= truth && truth <= e.high; }

}  // namespace

TEST_CASE("the meter finds the closed-form signal and noise of every step and weighting") {
  const Ddim sampler({.num_steps = 5, .guidance = 1.0, .eta = 1.0});
  int held = 0, asked = 0;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    ConstantPipeline pipeline;
    const auto gradients = step_gradients(pipeline, sampler, black_box(brightness), pipeline.parameters(), {"x", "y"},
                                          {.batches = 120, .prompts = 2, .samples_per_prompt = 4, .seed = seed});
    const SignalTable table = signal_table(gradients);
    CHECK(table.images == 960);
    CHECK_FALSE(table.pathwise);
    CHECK(table.reward == doctest::Approx(0.5).epsilon(0.02));
    const Truth truth(gradients.schedule, 4);
    const auto ask = [&](const Estimate& e, double expected) { ++asked, held += holds(e, expected); };
    for (const StepSignal& step : table.steps) {
      const double noise = truth.noise({step.step}, {1}), signal = truth.signal({step.step}, {1});
      ask(step.signal, signal);
      ask(step.noise, noise);
      ask(step.images, noise / signal);
      CHECK(step.noise.value == doctest::Approx(noise).epsilon(0.35));
    }
    for (const WeightedSignal& row : table.weightings) {
      std::vector<int> trained(static_cast<std::size_t>(5 - row.skip_last));
      std::iota(trained.begin(), trained.end(), 0);
      const auto weights = step_weights(gradients.schedule, trained, row.weights);
      ask(row.signal, truth.signal(trained, weights));
      ask(row.noise, truth.noise(trained, weights));
      ask(row.images, truth.noise(trained, weights) / truth.signal(trained, weights));
    }
    // the quiet step is the one before the last, and has nearly all of the noise
    CHECK(table.steps[3].quietness > 10);
    CHECK(table.steps[3].noise_share.value > 0.9);
  }
  MESSAGE("intervals that hold the truth: ", held, " of ", asked);
  CHECK(held >= 0.85 * asked);
}

TEST_CASE(
    "a pathwise gradient has no noise where nothing is random, and the images until signal are exact but for noise") {
  const Ddim sampler({.num_steps = 5, .guidance = 1.0, .eta = 1.0});
  ConstantPipeline pipeline;
  const auto gradients = step_gradients(pipeline, sampler, differentiable(brightness), pipeline.parameters(), {"x"},
                                        {.batches = 60, .prompts = 1, .samples_per_prompt = 8, .seed = 3});
  const SignalTable table = signal_table(gradients);
  REQUIRE(table.pathwise);
  const Truth truth(gradients.schedule, 8);
  double whole = 0;
  for (const double m : truth.mean) whole += m;
  for (const StepSignal& step : table.steps) {
    const double m = truth.mean[static_cast<std::size_t>(step.step)];
    CHECK(step.pathwise.value == doctest::Approx(kChannels * m * m).epsilon(1e-10));
    CHECK(step.pathwise_share.value == doctest::Approx(m / whole).epsilon(1e-10));
    CHECK(step.images.value == doctest::Approx(truth.noise({step.step}, {1}) / (kChannels * m * m)).epsilon(0.3));
  }
  CHECK(table.weightings.at(0).cosine.value == doctest::Approx(1));
}

TEST_CASE("the steps' pathwise gradients add up to autograd's, and agree with the policy gradient's mean") {
  constexpr int kSteps = 4, kImages = 6;
  const Ddim sampler({.num_steps = kSteps, .guidance = 1.0, .eta = 1.0});
  reference::GaussianPipeline pipeline;
  const auto gradients =
      step_gradients(pipeline, sampler, reference::TargetReward<true>(), pipeline.parameters(), {"x"},
                     {.batches = 400, .prompts = 1, .samples_per_prompt = kImages, .seed = 9});
  CHECK_FALSE(pipeline.parameters()[0].grad().defined());
  for (const int batch : {0, 7}) {
    Rng rng = Rng::derive(9, static_cast<std::uint64_t>(batch));
    rng.permutation(1);
    std::vector<int> all(kSteps);
    std::iota(all.begin(), all.end(), 0);
    const auto condition = pipeline.encode(std::vector<std::string>(kImages, "x"));
    const auto unrolled = reference::unrolled_update(
        pipeline,
        {.sampler = {.eta = 1.0, .num_steps = kSteps},
         .plan = {.last = kSteps - 1, .trained = all},
         .stop_input = false},
        condition, SampleNoise::draw(kImages, rng),
        [&](const Tensor& clean) { return reference::target_values(pipeline.decode(clean)); });
    const Tensor expected = -at::cat({unrolled.gradients[0].flatten(), unrolled.gradients[1].flatten()});  // [4]
    CHECK(at::allclose(gradients.pathwise[batch].sum(0), expected, 1e-9, 1e-12));
  }
  // the same mean, step by step: their difference over its standard error
  const Tensor difference = gradients.policy - gradients.pathwise;  // [B,T,4]
  const Tensor score = difference.mean(0) / (difference.std(0) / std::sqrt(400.0));
  MESSAGE("largest difference in standard errors: ", score.abs().max().item<double>());
  CHECK(score.abs().max().item<double>() < 4);
}

TEST_CASE("what the meter cannot measure is refused by name") {
  reference::GaussianPipeline pipeline;
  const auto measure = [&](const auto& sampler, const SignalMeterOptions& options,
                           const std::vector<Tensor>& parameters) {
    step_gradients(pipeline, sampler, black_box(brightness), parameters, {"x", "y"}, options);
  };
  const Ddim ddim({.num_steps = 3, .guidance = 1.0, .eta = 1.0});
  const auto all = pipeline.parameters();
  CHECK_THROWS_WITH_AS(measure(ddim, {.batches = 2}, all), "[SignalMeter] batches must be >= 3, got 2", Error);
  CHECK_THROWS_WITH_AS(measure(ddim, {.prompts = 2, .samples_per_prompt = 1}, all),
                       "[SignalMeter] samples_per_prompt must be >= 2, got 1", Error);
  CHECK_THROWS_WITH_AS(measure(ddim, {.prompts = 3}, all),
                       "[SignalMeter] prompts of a batch expected 1 to 2, all there are, got 3", Error);
  CHECK_THROWS_WITH_AS(measure(ddim, {.prompts = 1}, {}), doctest::Contains("parameters that are trained, got none"),
                       Error);
  CHECK_THROWS_WITH_AS(measure(DpmSolver({.num_steps = 3, .guidance = 1.0}), {.prompts = 1}, all),
                       doctest::Contains("[SignalMeter] expected a sampler of order 1, got a step of order 2"), Error);
  const auto nan = black_box([](const Tensor& images) { return brightness(images) * NAN; });
  CHECK_THROWS_WITH_AS(step_gradients(pipeline, ddim, nan, all, {"x"}, {.prompts = 1}),
                       doctest::Contains("that is a finite number"), Error);
}

TEST_CASE("steps without noise have a pathwise gradient and no policy gradient") {
  reference::GaussianPipeline pipeline;
  const auto gradients =
      step_gradients(pipeline, Ddim({.num_steps = 3, .guidance = 1.0, .eta = 0.0}), reference::TargetReward<true>(),
                     pipeline.parameters(), {"x"}, {.batches = 4, .prompts = 1, .samples_per_prompt = 2});
  const SignalTable table = signal_table(gradients);
  CHECK(table.weightings.empty());
  for (const StepSignal& step : table.steps) {
    CHECK(std::isinf(step.quietness));
    CHECK(step.noise.value == 0);
    CHECK(step.pathwise.value > 0);
  }
}

}  // namespace signal_meter_test
