// The ordinary training loss of a denoiser against the papers' formulas, number by number.
#include <doctest/doctest.h>

#include <torch/autograd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/models/denoising_errors.hpp>

#include <tests/reference/plain_sampler.hpp>
#include <tests/reference/toy_pipeline.hpp>

namespace denoising_errors_test {

using reward_tuner::PredictionType;
const PredictionType kPredictions[] = {PredictionType::kEpsilon, PredictionType::kVPrediction, PredictionType::kSample,
                                       PredictionType::kFlow};

}  // namespace denoising_errors_test

TEST_CASE("denoising errors are mean (target - network)^2 of each sample at its own level, for every prediction") {
  using namespace denoising_errors_test;
  using namespace reward_tuner;
  using namespace reward_tuner::reference;
  const auto abars = plain_abars();
  double worst = 0;
  for (const auto prediction : kPredictions)
    for (const std::uint64_t seed : {1, 2, 3}) {
      ToyPipeline pipeline({.schedule = {.prediction = prediction}});
      Rng rng(seed);
      const std::vector<std::int64_t> times = {0, 999, 400, rng.integer(0, 999)};
      // [B,C,h,w]
      const Tensor z = rng.normal(pipeline.latent_shape(4), at::kDouble),
                   e = rng.normal(pipeline.latent_shape(4), at::kDouble);
      const auto condition = pipeline.encode({"a star", "two moons", "a ring", "a box"}).positive;
      const Tensor errors = denoising_errors(pipeline, z, times, e, condition);
      REQUIRE(errors.sizes() == at::IntArrayRef({4}));
      CHECK(pipeline.calls == 1);
      for (std::int64_t i = 0; i < 4; ++i) {
        const std::int64_t step = times[static_cast<std::size_t>(i)];
        const bool flow = prediction == PredictionType::kFlow;  // its step 0 is told 1, and 999 is noise alone
        const double q = static_cast<double>(step + 1) / 1000,
                     alpha = flow ? 1 - q : std::sqrt(abars[static_cast<std::size_t>(step)]),
                     sigma = flow ? q : std::sqrt(1 - alpha * alpha);
        // [C,h,w]
        const Tensor output = pipeline
                                  .predict((alpha * z + sigma * e).narrow(0, i, 1),
                                           at::tensor({flow ? step + 1 : step}, at::kLong), condition.narrow(i, 1))[0]
                                  .detach();
        double sum = 0;
        const Tensor o = output.flatten(), zi = z[i].flatten(), ei = e[i].flatten();
        for (std::int64_t d = 0; d < o.numel(); ++d) {
          const double clean = zi[d].item<double>(), noise = ei[d].item<double>();
          const double target = prediction == PredictionType::kEpsilon  ? noise
                                : prediction == PredictionType::kSample ? clean
                                : flow                                  ? noise - clean
                                                                        : alpha * noise - sigma * clean;
          sum += std::pow(target - o[d].item<double>(), 2);
        }
        worst = std::max(worst, std::abs(errors[i].item<double>() / (sum / static_cast<double>(o.numel())) - 1));
      }
    }
  MESSAGE("worst relative error ", worst);
  CHECK(worst < 1e-11);
}

TEST_CASE("a network that answers the target has no error, and the gradient goes to the weights") {
  using namespace denoising_errors_test;
  using namespace reward_tuner;
  using namespace reward_tuner::reference;
  struct Knowing : ToyPipeline {
    using ToyPipeline::ToyPipeline;
    Tensor predict(const Tensor&, const Tensor&, const Conditioning&) { return answer; }
    Tensor answer;
  };
  Rng rng(1);
  for (const auto prediction : kPredictions) {
    Knowing pipeline({.schedule = {.prediction = prediction}});
    const Tensor z = rng.normal(pipeline.latent_shape(2), at::kDouble),
                 e = rng.normal(pipeline.latent_shape(2), at::kDouble);
    const double abar = plain_abars()[300];
    pipeline.answer = prediction == PredictionType::kEpsilon  ? e
                      : prediction == PredictionType::kSample ? z
                      : prediction == PredictionType::kFlow   ? e - z
                                                              : std::sqrt(abar) * e - std::sqrt(1 - abar) * z;
    CHECK(
        denoising_errors(pipeline, z, {300, 300}, e, pipeline.encode({"a", "b"}).positive).abs().max().item<double>() <
        1e-30);
  }
  ToyPipeline pipeline;
  const Tensor z = rng.normal(pipeline.latent_shape(2), at::kDouble),
               e = rng.normal(pipeline.latent_shape(2), at::kDouble);
  const Tensor errors = denoising_errors(pipeline, z, {300, 700}, e, pipeline.encode({"a", "b"}).positive);
  REQUIRE(errors.requires_grad());
  for (const Tensor& g :
       torch::autograd::grad({errors.sum()}, {pipeline.parameters().begin(), pipeline.parameters().end()}))
    CHECK(g.abs().max().item<double>() > 0);
}
