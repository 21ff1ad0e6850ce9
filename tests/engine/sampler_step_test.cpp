// One sampler step on tensors against the plainly written one, clipping included, and its gradients.
#include <doctest/doctest.h>

#include <torch/autograd.h>

#include <algorithm>

#include <reward_tuner/engine/sampler_step.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/ddpm.hpp>
#include <reward_tuner/tensor/rng.hpp>

#include <tests/reference/plain_sampler.hpp>

TEST_CASE("clip_clean clamps to the range, or to the quantile and rescales") {
  using namespace reward_tuner;
  const Tensor x = at::tensor({-3.0, -0.5, 0.2, 1.7}, at::kDouble).reshape({1, 4});
  CHECK(clip_clean(x, {}).equal(x));
  CHECK(clip_clean(x, {.kind = CleanClipping::Kind::kRange, .range = 1.5})
            .equal(at::tensor({-1.5, -0.5, 0.2, 1.5}, at::kDouble).reshape({1, 4})));
  // |x| sorted: 0.2 0.5 1.7 3.0; the median lies at 1.1
  const Tensor dynamic = clip_clean(x, {.kind = CleanClipping::Kind::kDynamic, .quantile = 0.5, .max = 10});
  CHECK(at::allclose(dynamic, at::tensor({-1.0, -0.5 / 1.1, 0.2 / 1.1, 1.0}, at::kDouble).reshape({1, 4}), 0, 1e-14));
  const Tensor small = clip_clean(0.1 * x, {.kind = CleanClipping::Kind::kDynamic, .quantile = 0.5, .max = 10});
  CHECK(small.equal(0.1 * x));  // a threshold below 1 is 1
  const Tensor two =
      clip_clean(at::cat({x, 0.1 * x}), {.kind = CleanClipping::Kind::kDynamic, .quantile = 0.5, .max = 10});
  CHECK(two.narrow(0, 0, 1).equal(dynamic));  // thresholds are per sample
  CHECK(two.narrow(0, 1, 1).equal(small));
}

TEST_CASE("steps and one-shot predictions equal the plain formulas, values and gradients") {
  using namespace reward_tuner;
  using Kind = CleanClipping::Kind;
  Rng rng(2);
  double worst = 0;
  for (const auto prediction : {PredictionType::kEpsilon, PredictionType::kVPrediction, PredictionType::kSample})
    for (const auto& clipping : {CleanClipping{}, CleanClipping{.kind = Kind::kRange, .range = 0.8},
                                 CleanClipping{.kind = Kind::kDynamic, .quantile = 0.8, .max = 3.0}})
      for (const bool ddpm : {false, true})
        for (const bool rederive : {false, true}) {
          const reference::PlainSampler plain{.ddpm = ddpm,
                                              .eta = 0.4,
                                              .num_steps = 9,
                                              .prediction = prediction,
                                              .clipping = clipping,
                                              .rederive = rederive};
          const NoiseSchedule noise({.prediction = prediction, .clipping = clipping});
          const auto schedule =
              ddpm ? Ddpm({.num_steps = 9}).schedule(noise)
                   : Ddim({.num_steps = 9, .eta = 0.4, .use_clipped_output = rederive}).schedule(noise);
          const auto levels = reference::plain_levels(plain);
          for (int k = 0; k < 9; ++k) {
            const Tensor x = rng.normal({2, 2, 3, 3}, at::kDouble).requires_grad_(),
                         o = rng.normal({2, 2, 3, 3}, at::kDouble).requires_grad_();
            const Tensor v = rng.normal({2, 2, 3, 3}, at::kDouble);
            const auto& level = levels[static_cast<std::size_t>(k)];
            const auto compare = [&](const Tensor& mine, const Tensor& truth) {
              const auto g = torch::autograd::grad({mine}, {x, o}, {v}, {}, false, true),
                         h = torch::autograd::grad({truth}, {x, o}, {v}, {}, false, true);
              worst = std::max(worst, (mine - truth).abs().max().item<double>());
              for (std::size_t i = 0; i < 2; ++i) {  // a clean sample may not depend on the latent at all
                const Tensor a = g[i].defined() ? g[i] : at::zeros_like(x),
                             b = h[i].defined() ? h[i] : at::zeros_like(x);
                worst = std::max(worst, ((a - b).abs().max() / (1.0 + b.abs().max())).item<double>());
              }
            };
            compare(step_mean(schedule, k, x, o), reference::plain_mean(plain, level, x, o));
            compare(predict_clean(schedule, k, x, o), reference::plain_clean(plain, level, x, o));
          }
        }
  MESSAGE("worst error: ", worst);
  CHECK(worst < 1e-10);
}
