// The pre-training loss: the formula, its place in an update (joint, alternating), and what is refused.
#include <doctest/doctest.h>

#include <ATen/autocast_mode.h>
#include <ATen/ops/arange.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/refl.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/regularizers/pretraining_loss.hpp>

#include <tests/reference/captioned_toy.hpp>
#include <tests/reference/tensor_lists.hpp>
#include <tests/reference/toy_pipeline.hpp>
#include <tests/reference/toy_reward.hpp>

namespace pretraining_loss_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

const std::vector<std::string> kPrompts = {"a", "b"};

}  // namespace
}  // namespace pretraining_loss_test

TEST_CASE("the loss is the denoising error of random images at random levels, for every prediction") {
  using namespace pretraining_loss_test;
  for (const auto prediction : {PredictionType::kEpsilon, PredictionType::kVPrediction, PredictionType::kSample})
    for (const std::uint64_t seed : {1, 2, 3}) {
      CaptionedToy pipeline({.schedule = {.prediction = prediction}});
      const auto data = captioned_images();
      Rng rng(seed), same(seed);
      const double loss = PretrainingLoss({.images = data, .weight = 0.3, .batch = 5, .dropout = 0.4})
                              .own_loss(pipeline, rng)
                              .item<double>();
      // the same draws, then sample by sample
      std::vector<std::int64_t> rows, times;
      std::vector<std::string> captions;
      for (int i = 0; i < 5; ++i) {
        rows.push_back(same.integer(0, 2)), times.push_back(same.integer(0, 999));
        captions.push_back(same.uniform() < 0.4 ? "" : data->captions()[static_cast<std::size_t>(rows.back())]);
      }
      const Tensor e = same.normal({5, 2, 4, 4}, at::kDouble);
      double sum = 0;
      for (int i = 0; i < 5; ++i) {
        const auto at_i = static_cast<std::size_t>(i);
        const Tensor z = pipeline.encode_images(data->images(at::full({1}, rows[at_i], at::kLong)).to(at::kDouble));
        const double abar = pipeline.noise_schedule().abar(times[at_i]), alpha = std::sqrt(abar),
                     sigma = std::sqrt(1 - abar);
        const Tensor noisy = alpha * z + sigma * e.narrow(0, i, 1);
        const Tensor out =
            pipeline.predict(noisy, at::full({1}, times[at_i], at::kLong), pipeline.encode({captions[at_i]}).positive);
        Tensor target = e.narrow(0, i, 1);
        if (prediction == PredictionType::kVPrediction) target = alpha * e.narrow(0, i, 1) - sigma * z;
        if (prediction == PredictionType::kSample) target = z;
        sum += (out - target).square().mean().item<double>();
      }
      CHECK(loss == doctest::Approx(0.3 * sum / 5).epsilon(1e-6));  // the images are float32
    }
}

TEST_CASE("joint adds its gradient to the reward's; alternating makes a second step; both are counted and reported") {
  using namespace pretraining_loss_test;
  const auto run = [](PretrainingLossOptions regularizer) {
    CaptionedToy pipeline;
    StepRecorder optimizer{pipeline.parameters()};
    Rng rng(4);
    ReFL<ToyReward, PretrainingLoss> tuner(ToyReward(), {.sampler = {.num_steps = 12, .guidance = 3.0},
                                                         .regularizer = std::move(regularizer),
                                                         .engine = {.gradient_clip = 0}});
    const auto report = tuner.update(pipeline, optimizer, kPrompts, rng);
    return std::pair(optimizer.steps, report);
  };
  const auto [reward_only, plain] = run({});
  const auto [joint, together] =
      run({.images = captioned_images(), .weight = 0.5, .batch = 4, .mode = PretrainingMode::kJoint});
  const auto [alternating, apart] = run({.images = captioned_images(), .weight = 0.5, .batch = 4});  // the default
  REQUIRE(reward_only.size() == 1);
  REQUIRE(joint.size() == 1);
  REQUIRE(alternating.size() == 2);
  CHECK(distance(alternating[0], reward_only[0]) < 1e-14);
  std::vector<Tensor> sum;
  for (std::size_t i = 0; i < joint[0].size(); ++i) sum.push_back(alternating[0][i] + alternating[1][i]);
  CHECK(distance(joint[0], sum) < 1e-12);
  CHECK(distance(joint[0], reward_only[0]) > 1e-3);
  CHECK(together.optimizer_steps == 1);
  CHECK(apart.optimizer_steps == 2);
  double squares = 0;
  for (const Tensor& g : alternating[1]) squares += g.square().sum().item<double>();
  CHECK(apart.regularizer_gradient_norm == doctest::Approx(std::sqrt(squares)).epsilon(1e-12));
  CHECK(apart.gradient_norm == doctest::Approx(plain.gradient_norm).epsilon(1e-12));
  CHECK(together.regularizer_gradient_norm == 0);
  for (const auto& report : {together, apart}) {
    CHECK(report.regularizer > 0);
    CHECK(report.loss == doctest::Approx(plain.loss + report.regularizer).epsilon(1e-12));
    CHECK(report.forwards == plain.forwards + 1);
    CHECK(report.backwards == plain.backwards + 1);
  }
}

TEST_CASE("the own step of a round leaves no gradients beside the sampling of the next") {
  using namespace pretraining_loss_test;
  CaptionedToy pipeline;
  StepRecorder optimizer{pipeline.parameters()};
  Rng rng(4);
  DDPO<ToyReward, PretrainingLoss> tuner(ToyReward(), {.sampler = {.num_steps = 4, .guidance = 3.0},
                                                       .objective = {.round = {.updates_per_epoch = 1}},
                                                       .regularizer = {.images = captioned_images(), .batch = 4}});
  CHECK(tuner.update(pipeline, optimizer, kPrompts, rng).optimizer_steps == 2);
  for (const Tensor& p : pipeline.parameters()) CHECK_FALSE(p.grad().defined());
}

TEST_CASE("captions are left out with their probability, and that trains the unconditional half of guidance") {
  using namespace pretraining_loss_test;
  struct Reading : CaptionedToy {
    int empty = 0, all = 0;
    Condition encode(const std::vector<std::string>& prompts) {
      for (const std::string& prompt : prompts) ++all, empty += prompt.empty() ? 1 : 0;
      return CaptionedToy::encode(prompts);
    }
  };
  const auto data = captioned_images();
  for (const double dropout : {0.0, PretrainingLossOptions{}.dropout, 0.5, 1.0})
    for (const std::uint64_t seed : {1, 2, 3}) {
      Reading pipeline;
      Rng rng(seed);
      PretrainingLoss({.images = data, .batch = 4000, .dropout = dropout}).own_loss(pipeline, rng);
      const double deviation = std::sqrt(dropout * (1 - dropout) / 4000);
      CHECK(std::abs(pipeline.empty / 4000.0 - dropout) <= 4 * deviation);
      CHECK(pipeline.all == 4000);
    }
  CHECK(PretrainingLossOptions{}.dropout == 0.1);
  // images, levels and noise are the same whatever is left out
  const auto loss = [&](double dropout, const std::vector<std::string>& captions) {
    CaptionedToy pipeline;
    Rng rng(3);
    const auto own = std::make_shared<const CaptionedImages>(data->images(at::arange(3)), captions);
    return PretrainingLoss({.images = own, .batch = 6, .dropout = dropout}).own_loss(pipeline, rng).item<double>();
  };
  CHECK(loss(1, data->captions()) == loss(0, {"", "", ""}));
  CHECK(loss(0, data->captions()) != loss(1, data->captions()));
}

TEST_CASE("its gradient is the slope of the loss") {
  using namespace pretraining_loss_test;
  CaptionedToy pipeline;
  const PretrainingLoss loss({.images = captioned_images(), .weight = 2.0, .batch = 6});
  const auto value = [&] {
    Rng rng(9);
    return loss.own_loss(pipeline, rng);
  };
  const auto parameters = pipeline.parameters();
  const auto gradients = torch::autograd::grad({value()}, {parameters.begin(), parameters.end()});
  const torch::NoGradGuard no_grad;
  Rng rng(1);
  double slope = 0;
  std::vector<Tensor> direction;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    direction.push_back(rng.normal(parameters[i].sizes(), parameters[i].options()));
    slope += (gradients[i] * direction[i]).sum().item<double>();
  }
  const auto moved = [&](double step) {
    for (std::size_t i = 0; i < parameters.size(); ++i) pipeline.parameters()[i].add_(direction[i], step);
    const double at = value().item<double>();
    for (std::size_t i = 0; i < parameters.size(); ++i) pipeline.parameters()[i].sub_(direction[i], step);
    return at;
  };
  CHECK((moved(1e-5) - moved(-1e-5)) / 2e-5 == doctest::Approx(slope).epsilon(1e-6));
}

TEST_CASE("it keeps the network near its data: descending it alone lowers it") {
  using namespace pretraining_loss_test;
  for (const std::uint64_t seed : {1, 2, 3}) {
    CaptionedToy pipeline;
    AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-2});
    ReFL<ToyReward, PretrainingLoss> tuner(ToyReward(), {.sampler = {.num_steps = 10},
                                                         .objective = {.scale = 1e-9},
                                                         .regularizer = {.images = captioned_images(), .batch = 8},
                                                         .engine = {.gradient_clip = 0}});
    Rng rng(seed);
    double first = 0, last = 0;
    for (int i = 0; i < 60; ++i)
      (i < 10    ? first
       : i >= 50 ? last
                 : first) += i < 10 || i >= 50 ? tuner.update(pipeline, optimizer, kPrompts, rng).regularizer
                                               : (tuner.update(pipeline, optimizer, kPrompts, rng), 0.0);
    CHECK(last < 0.7 * first);
  }
}

TEST_CASE("PretrainingLoss counts its samples and runs under autocast like everything else") {
  using namespace pretraining_loss_test;
  struct Watching : CaptionedToy {
    using CaptionedToy::CaptionedToy;
    int cast = 0, plain = 0;
    Tensor predict(const Tensor& latents, const Tensor& timesteps, const Conditioning& conditioning) {
      ++(at::autocast::is_autocast_enabled(at::kCPU) ? cast : plain);
      return CaptionedToy::predict(latents, timesteps, conditioning);
    }
    Tensor encode_images(const Tensor& images) {
      ++(at::autocast::is_autocast_enabled(at::kCPU) ? cast : plain);
      return CaptionedToy::encode_images(images);
    }
  };
  for (const auto mode : {PretrainingMode::kJoint, PretrainingMode::kAlternating})
    for (const bool autocast : {false, true}) {
      Watching pipeline({.dtype = at::kFloat});
      StepRecorder optimizer{pipeline.parameters()};
      ReFL<ToyReward, PretrainingLoss> tuner(
          ToyReward(), {.sampler = {.num_steps = 10},
                        .regularizer = {.images = captioned_images(), .weight = 1.0, .batch = 5, .mode = mode},
                        .engine = {.autocast = autocast ? std::optional(at::kBFloat16) : std::nullopt}});
      ReFL<ToyReward> alone(ToyReward(), {.sampler = {.num_steps = 10}});
      Rng rng(1), same(1);
      const auto with = tuner.update(pipeline, optimizer, kPrompts, rng);
      CHECK((autocast ? pipeline.plain : pipeline.cast) == 0);
      const auto without = alone.update(pipeline, optimizer, kPrompts, same);
      CHECK(with.forwards == without.forwards + 1);
      CHECK(with.forward_samples == without.forward_samples + 5);
      CHECK(with.backward_samples == without.backward_samples + 5);
    }
}

TEST_CASE("PretrainingLoss: an infinite gradient of its own step is left out, the reward's step stays") {
  using namespace pretraining_loss_test;
  CaptionedToy pipeline;
  StepRecorder optimizer{pipeline.parameters()};
  ReFL<ToyReward, PretrainingLoss> tuner(
      ToyReward(),
      {.sampler = {.num_steps = 10},
       .regularizer = {.images = captioned_images(), .weight = 1.0, .mode = PretrainingMode::kAlternating}});
  int backward = 0;
  pipeline.parameters()[4].register_hook(
      [&](const Tensor& g) { return ++backward == 2 ? g * std::numeric_limits<double>::infinity() : g; });
  Rng rng(1);
  const auto report = tuner.update(pipeline, optimizer, kPrompts, rng);
  CHECK(optimizer.steps.size() == 1);
  CHECK_FALSE(report.skipped);
  CHECK(report.warning == "the gradient of the regularizer's own step is not finite; the reward's step was made");
  CHECK(report.skip_reason.empty());
}

TEST_CASE("PretrainingLoss: bad options and images of another size are named errors") {
  using namespace pretraining_loss_test;
  CHECK_THROWS_WITH_AS(PretrainingLoss({.dropout = 1.5}), "[PretrainingLoss] dropout must be in [0, 1], got 1.5",
                       Error);
  CHECK_THROWS_WITH_AS(PretrainingLoss({.weight = -1}), "[PretrainingLoss] weight must be finite and >= 0, got -1",
                       Error);
  CHECK_THROWS_WITH_AS(PretrainingLoss({.batch = 0}), "[PretrainingLoss] batch must be >= 1, got 0", Error);
  CaptionedToy pipeline;
  Rng rng(1);
  CHECK_FALSE(PretrainingLoss().own_loss(pipeline, rng).defined());
  CHECK_FALSE(PretrainingLoss({.images = captioned_images(), .weight = 0}).own_loss(pipeline, rng).defined());
  const auto large = std::make_shared<const CaptionedImages>(at::zeros({1, 3, 8, 8}), std::vector<std::string>{"x"});
  CHECK_THROWS_WITH_AS(
      PretrainingLoss({.images = large}).own_loss(pipeline, rng),
      doctest::Contains("expected images whose latents are [8, 2, 4, 4], got images whose latents are [8, 2, 8, 8]"),
      Error);
}
