// DPOK's learned baseline: 0 before it learned, learns, is a function of its state, and never changes a tensor in
// place.
#include <doctest/doctest.h>

#include <ATen/ops/allclose.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/engine/value_baseline.hpp>
#include <reward_tuner/samplers/ddim.hpp>

#include <tests/reference/toy_pipeline.hpp>

namespace value_baseline_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

using State = ValueBaseline::State;

bool equal(const State& a, const State& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [name, tensor] : a)
    if (!b.contains(name) || !b.at(name).equal(tensor)) return false;
  return true;
}
State cloned(const State& state) {
  State out;
  for (const auto& [name, tensor] : state) out.emplace(name, tensor.clone());
  return out;
}

struct Data {
  Tensor features, targets;  // [n,F], double [n]
};
Data data_of(std::uint64_t seed, std::int64_t n = 64) {
  Rng rng(seed);
  const Tensor x = rng.normal({n, 9});
  return {x, (2.0 * x.select(1, 0) - x.select(1, 3) + 0.5).to(at::kDouble)};
}
double loss(const State& state, const Data& d) {
  return (ValueBaseline::values(state, d.features) - d.targets).square().mean().item<double>();
}

}  // namespace
}  // namespace value_baseline_test

TEST_CASE("V is 0 before the first fit, for every state and step") {
  using namespace value_baseline_test;
  const Data d = data_of(1);
  const Tensor v = ValueBaseline::values({}, d.features);
  CHECK(v.sizes() == at::IntArrayRef({64}));
  CHECK((v.scalar_type() == at::kDouble));
  CHECK(v.abs().max().item<double>() == 0);
}

TEST_CASE("V sees the latent, the prompt and the time") {
  using namespace value_baseline_test;
  ToyPipeline pipeline({.side = 8});
  NetworkCounts counts;
  StepPlan plan{.last = 3, .jumps = false, .trained = {0, 2}};
  const auto schedule = Ddim({.num_steps = 4, .eta = 1.0}).schedule(pipeline.noise_schedule());
  const auto t = sample_transitions(
      pipeline, sampling_setup(schedule, pipeline.encode({"a star", "a moon", "a star"}), 1.0).with(plan),
      SampleNoise({1, 2, 1}), {}, counts);
  const Tensor first = ValueBaseline::features(t, 0), later = ValueBaseline::features(t, 2);
  REQUIRE(first.sizes() == at::IntArrayRef({3, 16 * 2 + 3 + 4}));
  CHECK((first.scalar_type() == at::kFloat));
  CHECK(first[0].equal(first[2]));                                          // the same image in the making
  CHECK_FALSE(first[0].narrow(0, 0, 32).equal(first[1].narrow(0, 0, 32)));  // the latent
  CHECK_FALSE(first[0].narrow(0, 32, 3).equal(first[1].narrow(0, 32, 3)));  // the text
  CHECK(first[0].narrow(0, 35, 4).equal(first[1].narrow(0, 35, 4)));        // the time
  CHECK_FALSE(first[0].narrow(0, 35, 4).equal(later[0].narrow(0, 35, 4)));
  const Tensor pooled = t.latent(0).view({3, 2, 4, 2, 4, 2}).mean({3, 5}).flatten(1).to(at::kFloat);  // [3,32]
  CHECK(at::allclose(first.narrow(1, 0, 32), pooled, 1e-5, 1e-6));
}

TEST_CASE("fits bring the loss on a simple target down by far more than ten times") {
  using namespace value_baseline_test;
  for (const std::uint64_t seed : {1, 2, 3}) {
    const Data d = data_of(seed);
    const ValueBaseline baseline({.learning_rate = 3e-3, .steps = 100, .batch = 256});
    State state;
    Rng rng(seed + 10);
    const double before = loss(state, d);
    const double last = baseline.fit(state, d.features, d.targets, rng);
    for (int i = 0; i < 3; ++i) baseline.fit(state, d.features, d.targets, rng);
    const double after = loss(state, d);
    MESSAGE("seed ", seed, ": ", before, " -> ", after);
    CHECK(after < 0.1 * before);
    CHECK(last < before);
    CHECK(state.at("optimizer.0.step").item<double>() == 400);  // the moments go on from fit to fit
  }
}

TEST_CASE("equal state, data and stream give an equal fit; a mini-batch is drawn from the stream") {
  using namespace value_baseline_test;
  const Data d = data_of(4);
  const ValueBaseline baseline({.steps = 5, .batch = 16});
  const auto fitted = [&](std::uint64_t seed) {
    State state;
    Rng rng(seed);
    for (int i = 0; i < 2; ++i) baseline.fit(state, d.features, d.targets, rng);
    return state;
  };
  CHECK(equal(fitted(1), fitted(1)));
  CHECK_FALSE(equal(fitted(1), fitted(2)));
}

TEST_CASE("a state that was copied away and brought back continues bit for bit") {
  using namespace value_baseline_test;
  const Data d = data_of(5);
  const ValueBaseline baseline({.steps = 3, .batch = 20});
  State whole, resumed;
  Rng one(3), two(3);
  for (int i = 0; i < 4; ++i) {
    baseline.fit(whole, d.features, d.targets, one);
    resumed = cloned(resumed);
    baseline.fit(resumed, d.features, d.targets, two);
  }
  CHECK(equal(whole, resumed));
  CHECK(whole.size() == 6 + 18);
}

TEST_CASE("a fit never changes a tensor of an earlier state, nor its data") {
  using namespace value_baseline_test;
  const Data d = data_of(6);
  const Tensor features = d.features.clone(), targets = d.targets.clone();
  const ValueBaseline baseline({.learning_rate = 1e-2, .steps = 4});
  State state;
  Rng rng(1);
  for (int i = 0; i < 3; ++i) {
    const State earlier = state, kept = cloned(state);  // earlier shares the tensors
    baseline.fit(state, d.features, d.targets, rng);
    CHECK(equal(earlier, kept));
    CHECK_FALSE(equal(earlier, state));
  }
  CHECK(d.features.equal(features));
  CHECK(d.targets.equal(targets));
  for (const auto& [name, tensor] : state) CHECK_FALSE(tensor.requires_grad());
}

TEST_CASE("V works where the features are, wherever its state was stored") {
  using namespace value_baseline_test;
  const Data d = data_of(7);
  const ValueBaseline baseline({.steps = 3});
  State state;
  Rng rng(1);
  baseline.fit(state, d.features, d.targets, rng);
  // another type stands in for another device, which this test may lack; both are options of the features
  State stored;
  for (const auto& [name, tensor] : state) stored.emplace(name, tensor.to(at::kDouble));
  CHECK(ValueBaseline::values(stored, d.features).equal(ValueBaseline::values(state, d.features)));
  Rng one(2), two(2);
  baseline.fit(state, d.features, d.targets, one);
  baseline.fit(stored, d.features, d.targets, two);
  CHECK(equal(stored, state));
  // and a device without numbers: V of a state on the CPU has the features' device
  const Tensor v = ValueBaseline::values(state, d.features.to(at::kMeta));
  CHECK(v.is_meta());
  CHECK(v.sizes() == at::IntArrayRef({64}));
}
