// Sampled transitions: independent of the micro-batch, ordered root by root, forked where the trained steps begin,
// counted on paper.
#include <doctest/doctest.h>

#include <ATen/ops/cat.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/engine/transitions.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/ddpm.hpp>
#include <reward_tuner/samplers/dpm_solver.hpp>

#include <tests/reference/toy_pipeline.hpp>

namespace transitions_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

constexpr int kSteps = 6;
const std::vector<std::string> kPrompts = {"a star", "two moons", "a ring"};
const std::vector<double> kGuidance = {1.0, 3.0, 3.0, 0.0, 2.5, 1.0};

StepPlan trained(std::vector<int> steps) { return {.last = kSteps - 1, .jumps = false, .trained = std::move(steps)}; }
SamplerSchedule ddim(const ToyPipeline& pipeline, double eta = 1.0) {
  return Ddim({.num_steps = kSteps, .eta = eta}).schedule(pipeline.noise_schedule());
}

struct Sampled {
  Transitions transitions;
  NetworkCounts counts;
  std::int64_t calls = 0;
};
Sampled sampled(const std::vector<int>& steps, std::uint64_t seed, const SamplingOptions& options = {},
                bool ddpm = false) {
  ToyPipeline pipeline;
  Sampled out;
  const SamplerSchedule schedule =
      ddpm ? Ddpm({.num_steps = kSteps}).schedule(pipeline.noise_schedule()) : ddim(pipeline);
  out.transitions = sample_transitions(pipeline, {schedule, trained(steps), pipeline.encode(kPrompts), kGuidance},
                                       SampleNoise({seed, seed + 1, seed + 2}), options, out.counts);
  out.calls = pipeline.calls;
  return out;
}

/// Largest difference between two rounds; infinite where one has what the other lacks.
double difference(const Transitions& a, const Transitions& b) {
  double worst = (a.clean - b.clean).abs().max().item<double>();
  const auto compare = [&](const PerStep<Tensor>& x, const PerStep<Tensor>& y) {
    REQUIRE(x.steps() == y.steps());
    for (int k = 0; k < x.steps(); ++k) {
      REQUIRE(x(k).defined() == y(k).defined());
      if (x(k).defined()) worst = std::max(worst, (x(k) - y(k)).abs().max().item<double>());
    }
  };
  compare(a.latent, b.latent);
  compare(a.log_prob, b.log_prob);
  CHECK(a.seeds == b.seeds);
  CHECK(a.steps() == b.steps());
  CHECK(a.setup.condition.prompts == b.setup.condition.prompts);
  CHECK(a.setup.condition.positive.embeddings.equal(b.setup.condition.positive.embeddings));
  return worst;
}

}  // namespace
}  // namespace transitions_test

TEST_CASE("kept are exactly the trained steps that have noise, each with its begin, its end and its log-probability") {
  using namespace transitions_test;
  for (const bool ddpm : {false, true}) {
    const auto t = sampled({1, 3, 4, 5}, 1, {}, ddpm).transitions;
    CHECK(t.steps() == (ddpm ? std::vector<int>{1, 3, 4} : std::vector<int>{1, 3, 4, 5}));
    for (int k = 0; k <= kSteps; ++k) {
      CAPTURE(k);
      const auto holds = [&](int step) { return t.setup.plan.trains(step); };
      CHECK(t.latent(k).defined() == (holds(k) || holds(k - 1)));
      if (k < kSteps) CHECK(t.log_prob(k).defined() == holds(k));
    }
    CHECK(t.size() == 3);
    if (!ddpm) CHECK(t.latent(kSteps).equal(t.clean));
  }
}

TEST_CASE("transitions are the ordinary rollout's, step by step") {
  using namespace transitions_test;
  ToyPipeline pipeline;
  const auto t = sampled({0, 1, 2, 3, 4, 5}, 5).transitions;
  NetworkCounts counts;
  SampleNoise noise({5, 6, 7});
  std::vector<Tensor> latents;
  const auto plain = rollout(pipeline, {ddim(pipeline), sampling_plan(kSteps), pipeline.encode(kPrompts), kGuidance},
                             noise, counts, {.observer = [&](const RolloutStep& s) { latents.push_back(s.latent); }});
  for (int k = 0; k < kSteps; ++k) CHECK(t.latent(k).equal(latents[static_cast<std::size_t>(k)]));
  CHECK(t.clean.equal(plain.clean));
}

TEST_CASE("the result does not depend on the micro-batch, with branches or without") {
  using namespace transitions_test;
  double worst = 0;
  for (const std::uint64_t seed : {1, 10, 20})
    for (const int branches : {1, 3})
      for (const auto& steps :
           {std::vector<int>{0, 1, 2, 3, 4, 5}, std::vector<int>{3, 4, 5}, std::vector<int>{1, 4}}) {
        const auto whole = sampled(steps, seed, {.branches = branches}).transitions;
        for (const std::int64_t micro : {1, 2, 4, 100})
          worst = std::max(
              worst, difference(sampled(steps, seed, {.branches = branches, .micro_batch = micro}).transitions, whole));
      }
  MESSAGE("worst difference ", worst);
  CHECK(worst < 1e-11);
}

TEST_CASE("equal seeds give equal rounds bit for bit, others do not") {
  using namespace transitions_test;
  for (const int branches : {1, 3}) {
    const auto run = [&](std::uint64_t seed) { return sampled({2, 3, 4, 5}, seed, {.branches = branches}); };
    const auto one = run(7), again = run(7), other = run(8);
    CHECK(difference(one.transitions, again.transitions) == 0);
    CHECK_FALSE(one.transitions.clean.equal(other.transitions.clean));
  }
}

TEST_CASE(
    "branches are ordered root by root and share everything before the fork, at the first step or in the middle") {
  using namespace transitions_test;
  for (const int fork : {0, 2, 5})
    for (const std::uint64_t seed : {1, 2, 3}) {
      CAPTURE(fork);
      std::vector<int> steps;
      for (int k = fork; k < kSteps; ++k) steps.push_back(k);
      const int branches = 4;
      const auto t = sampled(steps, seed, {.branches = branches}).transitions;
      // the same roots without branches
      const auto roots = sampled({0, 1, 2, 3, 4, 5}, seed).transitions;
      REQUIRE(t.size() == 3 * branches);
      std::vector<std::uint64_t> seeds = t.seeds;
      std::sort(seeds.begin(), seeds.end());
      CHECK(std::adjacent_find(seeds.begin(), seeds.end()) == seeds.end());  // every branch has a stream of its own
      for (std::int64_t root = 0; root < 3; ++root)
        for (std::int64_t branch = 0; branch < branches; ++branch) {
          const std::int64_t i = root * branches + branch;
          CHECK(t.setup.condition.prompts[static_cast<std::size_t>(i)] == kPrompts[static_cast<std::size_t>(root)]);
          // the fork is where the root would be
          CHECK((t.latent(fork)[i] - roots.latent(fork)[root]).abs().max().item<double>() < 1e-13);
          CHECK(t.latent(fork)[i].equal(t.latent(fork)[root * branches]));
          for (std::int64_t earlier = 0; earlier < branch; ++earlier)
            CHECK_FALSE(t.latent(fork + 1)[i].equal(t.latent(fork + 1)[root * branches + earlier]));
        }
    }
}

TEST_CASE("every branch goes on with the clean prediction before the fork: without noise it ends where its root ends") {
  using namespace transitions_test;
  ToyPipeline pipeline;
  const auto schedule =
      DpmSolver({.num_steps = kSteps, .noise = false, .order = 2}).schedule(pipeline.noise_schedule());
  REQUIRE(schedule.has_history(3));
  const RolloutSetup setup{schedule, trained({3, 4, 5}), pipeline.encode(kPrompts), kGuidance};
  NetworkCounts counts;
  const auto plain = sample_transitions(pipeline, setup, SampleNoise({1, 2, 3}), {}, counts).clean;
  for (const std::int64_t micro : {0, 2}) {
    const auto forked =
        sample_transitions(pipeline, setup, SampleNoise({1, 2, 3}), {.branches = 3, .micro_batch = micro}, counts)
            .clean;
    REQUIRE(forked.size(0) == 9);
    for (std::int64_t i = 0; i < 9; ++i) CHECK((forked[i] - plain[i / 3]).abs().max().item<double>() < 1e-12);
  }
}

TEST_CASE("network calls are those on paper: the prefix once a root, the rest once a branch") {
  using namespace transitions_test;
  for (const int fork : {0, 2, 5})
    for (const int branches : {1, 2, 3})
      for (const std::int64_t micro : {0, 2}) {
        std::vector<int> steps;
        for (int k = fork; k < kSteps; ++k) steps.push_back(k);
        const auto s = sampled(steps, 1, {.branches = branches, .micro_batch = micro});
        const int own = branches == 1 ? 0 : fork;
        CHECK(s.counts.forward_samples == 3 * own + 3 * branches * (kSteps - own));
        const auto parts = [&](int samples) { return micro == 0 ? 1 : (samples + 1) / 2; };
        CHECK(s.counts.forwards == parts(3) * own + parts(3 * branches) * (kSteps - own));
        CHECK(s.calls == s.counts.forwards);
        CHECK(s.counts.backwards == 0);
      }
}

TEST_CASE("a selection has the named samples of everything, repeated or none") {
  using namespace transitions_test;
  const auto t = sampled({1, 3}, 3, {.branches = 2}).transitions;
  const auto picked = t.select(at::tensor({5, 0, 0}, at::kLong));
  CHECK(picked.size() == 3);
  CHECK(picked.seeds == std::vector<std::uint64_t>{t.seeds[5], t.seeds[0], t.seeds[0]});
  CHECK(picked.setup.condition.prompts == std::vector<std::string>{"a ring", "a star", "a star"});
  CHECK(picked.setup.condition.positive.embeddings[0].equal(t.setup.condition.positive.embeddings[5]));
  CHECK(picked.clean[1].equal(t.clean[0]));
  CHECK(picked.latent(4)[0].equal(t.latent(4)[5]));
  CHECK(picked.log_prob(3)[0].equal(t.log_prob(3)[5]));
  CHECK(picked.steps() == t.steps());
  CHECK_FALSE(picked.latent(0).defined());
  const auto none = t.select(at::zeros({0}, at::kLong));
  CHECK(none.size() == 0);
  CHECK(none.seeds.empty());
  CHECK(none.latent(1).sizes() == at::IntArrayRef({0, 2, 4, 4}));
}

TEST_CASE("nothing that is kept carries a graph") {
  using namespace transitions_test;
  const torch::AutoGradMode grad(true);
  const auto t = sampled({0, 5}, 3, {.branches = 2}).transitions;
  for (const auto& list : {t.latent, t.log_prob})
    for (const Tensor& x : list) CHECK_FALSE((x.defined() && x.requires_grad()));
  CHECK_FALSE(t.clean.requires_grad());
}
