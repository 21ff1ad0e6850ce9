// Rows with nothing in common in one network call: equal to calls of their own, split back to the network's halves,
// counted on paper.
#include <doctest/doctest.h>

#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones_like.h>
#include <torch/autograd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/engine/row_call.hpp>
#include <reward_tuner/samplers/ddim.hpp>

#include <tests/reference/toy_pipeline.hpp>

namespace row_call_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

const std::vector<std::string> kPrompts = {"a star", "two moons", "a ring", "a box", "a red circle"};
const std::vector<std::vector<double>> kGuidance = {{1.0, 4.0, 0.0, 1.0, 2.5},  {1.0, 1.0, 1.0, 1.0, 1.0},
                                                    {7.5, 7.5, 7.5, 7.5, 7.5},  {0.0, 0.0, 0.0, 0.0, 0.0},
                                                    {1.0, 1.0, 1.0, 1.0, -0.5}, {3.0, 1.0, 1.0, 1.0, 1.0}};

/// A network without products over the batch, whose rows are exactly independent of one another whatever the linear
/// algebra library does.
struct Elementwise : ToyPipeline {
  using ToyPipeline::ToyPipeline;
  Tensor predict(const Tensor& x, const Tensor& timesteps, const Conditioning& c) {
    ++calls, rows += x.size(0);
    const Tensor t = (timesteps.to(x.scalar_type()) / 1000.0).view({-1, 1, 1, 1});  // [N,1,1,1]
    const Tensor words = c.embeddings.sum({1, 2}).view({-1, 1, 1, 1});              // [N,1,1,1]
    return (scale * x + 3.0 * t).sin() * words + x * t;                             // [N,C,h,w]
  }
  Tensor scale = at::full({}, 1.3, at::kDouble).requires_grad_();
};

RowInputs inputs_of(ToyPipeline& pipeline, const std::vector<double>& guidance, std::uint64_t seed) {
  Rng rng(seed);
  const Condition condition = pipeline.encode(kPrompts);
  return {rng.normal(pipeline.latent_shape(5), pipeline.latent_options()),
          {901, 1, 301, 301, 640},
          guidance,
          condition.positive,
          condition.negative};
}

template <class Pipeline>
Tensor one_by_one(Pipeline& pipeline, const RowInputs& rows) {
  std::vector<Tensor> guided;
  NetworkCounts counts;
  for (std::int64_t i = 0; i < rows.latents.size(0); ++i) {
    const auto at_i = static_cast<std::size_t>(i);
    const RowInputs own{rows.latents.narrow(0, i, 1),
                        {rows.timesteps[at_i]},
                        {rows.guidance[at_i]},
                        rows.positive.narrow(i, 1),
                        rows.negative.narrow(i, 1)};
    guided.push_back(row_call(pipeline, own, counts).guided);
  }
  return at::cat(guided);
}

}  // namespace
}  // namespace row_call_test

TEST_CASE("a row's guided output is its own guided call's, bit for bit in double") {
  using namespace row_call_test;
  for (const auto& guidance : kGuidance)
    for (const std::uint64_t seed : {1, 2, 3}) {
      Elementwise pipeline;
      const RowInputs rows = inputs_of(pipeline, guidance, seed);
      NetworkCounts counts;
      CHECK(row_call(pipeline, rows, counts).guided.equal(one_by_one(pipeline, rows)));
    }
}

TEST_CASE("through convolutions a row's guided output is its own guided call's up to the batch's rounding") {
  using namespace row_call_test;
  for (const auto& limit : {std::pair(at::kDouble, 1e-14), std::pair(at::kFloat, 1e-6)}) {
    const at::ScalarType dtype = limit.first;
    double worst = 0;
    for (const auto& guidance : kGuidance)
      for (const std::uint64_t seed : {1, 2, 3}) {
        ToyPipeline pipeline({.side = 8, .width = 16, .dtype = dtype});
        const RowInputs rows = inputs_of(pipeline, guidance, seed);
        NetworkCounts counts;
        const Tensor together = row_call(pipeline, rows, counts).guided, apart = one_by_one(pipeline, rows);
        worst = std::max(worst, ((together - apart).abs().max() / apart.abs().max()).item<double>());
      }
    MESSAGE(std::string(c10::toString(dtype)), ": worst relative error ", worst);
    CHECK(worst <= limit.second);
  }
}

TEST_CASE("every guidance of at most 1 is the condition alone, as diffusers has it") {
  using namespace row_call_test;
  Elementwise pipeline;
  NetworkCounts counts;
  const RowInputs rows = inputs_of(pipeline, {1.0, 4.0, 0.0, 0.7, 2.5}, 4);
  CHECK(rows.guided_rows().equal(at::tensor({1, 4}, at::kLong)));
  const RowCall out = row_call(pipeline, rows, counts);
  REQUIRE(out.raw.size(0) == 2 + 5);
  const Tensor u = out.raw.narrow(0, 0, 2), c = out.raw.narrow(0, 2, 5);
  for (const int row : {0, 2, 3}) CHECK(out.guided[row].equal(c[row]));
  CHECK(out.guided[1].equal(u[0] + 4.0 * (c[1] - u[0])));
  const Tensor q = Rng(6).normal(c.sizes(), c.options().requires_grad(false));
  CHECK(split_rows(q, out.rows).narrow(0, 2, 5)[2].equal(q[2]));
  for (const double w : {1.0, 0.5, 0.0, -2.0}) {
    const RowCall alone = row_call(pipeline, inputs_of(pipeline, std::vector<double>(5, w), 4), counts);
    CHECK(alone.raw.size(0) == 5);
    CHECK(alone.guided.equal(c));
    CHECK(split_rows(q, alone.rows).equal(q));
  }
}

TEST_CASE("a guidance that all rows share is not rounded to the latents' dtype, forward and backward") {
  using namespace row_call_test;
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf, at::kFloat, at::kDouble})
    for (const double w : {7.3, 2.2, 1.1}) {  // none of them has a short binary form
      ToyPipeline pipeline({.dtype = dtype});
      NetworkCounts counts;
      const RowCall out = row_call(pipeline, inputs_of(pipeline, std::vector<double>(5, w), 5), counts);
      const Tensor u = out.raw.narrow(0, 0, 5), c = out.raw.narrow(0, 5, 5);
      CHECK((out.guided.scalar_type() == dtype));
      CHECK(out.guided.equal(u + w * (c - u)));
      const Tensor q = Rng(6).normal(c.sizes(), c.options().requires_grad(false));
      CHECK(split_rows(q, out.rows).equal(at::cat({(1.0 - w) * q, w * q})));
    }
}

TEST_CASE("rows that share a timestep or need no guidance are given what others are") {
  using namespace row_call_test;
  ToyPipeline pipeline;
  RowInputs rows = inputs_of(pipeline, std::vector<double>(5, 1.0), 7);
  CHECK(rows.times().equal(at::tensor(rows.timesteps, at::kLong)));
  rows.timesteps.assign(5, 301);
  CHECK(rows.times().equal(at::tensor(rows.timesteps, at::kLong)));
  const Tensor q = at::ones_like(rows.latents);
  CHECK(split_rows(q, rows).is_same(q));
}

TEST_CASE("split rows are autograd's gradient through the guidance") {
  using namespace row_call_test;
  for (const auto& guidance : kGuidance)
    for (const std::uint64_t seed : {1, 2, 3}) {
      Elementwise pipeline;
      const RowInputs rows = inputs_of(pipeline, guidance, seed);
      NetworkCounts counts;
      const RowCall out = row_call(pipeline, rows, counts);
      const Tensor cotangent = Rng(seed + 7).normal(out.guided.sizes(), at::kDouble);  // [n,C,h,w]
      const Tensor truth = torch::autograd::grad({(out.guided * cotangent).sum()}, {out.raw})[0],
                   mine = split_rows(cotangent, rows);
      REQUIRE(mine.sizes() == truth.sizes());
      CHECK((mine - truth).abs().max().item<double>() < 1e-14 * cotangent.abs().max().item<double>() * 10);
    }
}

TEST_CASE("a call is one forward of as many samples as rows, and evaluates a guided row twice") {
  using namespace row_call_test;
  for (const auto& guidance : kGuidance) {
    Elementwise pipeline;
    const RowInputs rows = inputs_of(pipeline, guidance, 1);
    NetworkCounts counts{.forwards = 10, .backwards = 3, .forward_samples = 100, .backward_samples = 7};
    row_call(pipeline, rows, counts);
    CHECK(counts.forwards == 11);
    CHECK(counts.forward_samples == 105);
    CHECK(counts.backwards == 3);
    CHECK(counts.backward_samples == 7);
    CHECK(pipeline.calls == 1);
    CHECK(pipeline.rows == 5 + std::count_if(guidance.begin(), guidance.end(), [](double w) { return w > 1.0; }));
  }
}

TEST_CASE("a rollout's step is a doubled batch that equals two calls; scale 1 or less is one call of the condition") {
  using namespace row_call_test;
  ToyPipeline pipeline;
  const auto schedule = Ddim({.num_steps = 3}).schedule(pipeline.noise_schedule());
  const RolloutSetup setup{schedule, sampling_plan(3), pipeline.encode({"one", "two"}), std::vector{3.0, 1.0, 0.0}};
  const Tensor x = Rng(3).normal({2, 2, 4, 4}, at::kDouble);
  const auto alone = [&](int k, const Conditioning& conditioning) {
    return pipeline.predict(x, at::full({2}, schedule.timestep(k), at::kLong), conditioning);
  };
  const Tensor u = alone(0, setup.condition.negative), c = alone(0, setup.condition.positive);
  const Tensor only = alone(1, setup.condition.positive), last = alone(2, setup.condition.positive);
  pipeline.calls = pipeline.rows = 0;
  NetworkCounts counts;
  const RowCall three = row_call(pipeline, step_rows(setup, 0, x), counts);
  CHECK(three.raw.size(0) == 4);
  CHECK(at::allclose(three.raw, at::cat({u, c}), 1e-13, 1e-13));
  CHECK(at::allclose(three.guided, u + 3.0 * (c - u), 1e-13, 1e-13));
  CHECK(pipeline.calls == 1);
  CHECK(pipeline.rows == 4);
  CHECK(at::allclose(row_call(pipeline, step_rows(setup, 1, x), counts).guided, only, 1e-13, 1e-13));
  CHECK(pipeline.rows == 6);
  CHECK(at::allclose(row_call(pipeline, step_rows(setup, 2, x), counts).guided, last, 1e-13, 1e-13));
  CHECK(counts.forwards == 3);
  CHECK(counts.backwards == 0);
}

TEST_CASE("several steps in one call are their own calls' rows, and count as such") {
  using namespace row_call_test;
  Elementwise pipeline;
  const auto schedule = Ddim({.num_steps = 3}).schedule(pipeline.noise_schedule());
  const RolloutSetup setup{schedule, sampling_plan(3), pipeline.encode({"one", "two"}), std::vector{3.0, 1.0, 0.5}};
  const Tensor x = Rng(3).normal({2, 2, 4, 4}, at::kDouble), y = Rng(4).normal({2, 2, 4, 4}, at::kDouble);
  NetworkCounts together, apart;
  const RowCall call = row_call(pipeline, concatenate({step_rows(setup, 2, x), step_rows(setup, 1, y)}), together);
  CHECK(pipeline.calls == 1);
  CHECK(call.guided.equal(at::cat({row_call(pipeline, step_rows(setup, 2, x), apart).guided,
                                   row_call(pipeline, step_rows(setup, 1, y), apart).guided})));
  CHECK(together.forwards == apart.forwards);
  CHECK(together.forward_samples == apart.forward_samples);
}
