// Gradients of the text encoder, collected at its states and spent in one backward: against plain autograd over a
// single graph that the encoder is part of, and against finite differences, in double.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/engine/adjoint.hpp>
#include <reward_tuner/engine/condition_gradient.hpp>
#include <reward_tuner/engine/configured_pipeline.hpp>
#include <reward_tuner/exploration/prompt_weighting.hpp>
#include <reward_tuner/gradient_stop/pass_input.hpp>
#include <reward_tuner/gradient_stop/stop_input.hpp>
#include <reward_tuner/samplers/ddim.hpp>

#include <tests/reference/tensor_lists.hpp>
#include <tests/reference/text_toy.hpp>
#include <tests/reference/toy_reward.hpp>
#include <tests/reference/unrolled.hpp>

namespace condition_gradient_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

const std::vector<std::string> kPrompts = {"a red circle", "two blue squares", "a star"};
using Arrange = std::function<Condition(const Condition&)>;

Condition as_encoded(const Condition& encoded) { return encoded; }
/// Each prompt twice, one word of each weighted, the first left out: everything an update may do with its prompts.
Condition arranged(const Condition& encoded) {
  Rng rng(17);
  const Condition copied = encoded.select(at::tensor({0, 0, 1, 1, 2, 2}, at::kLong));
  return PromptWeighting({.low = 1.2, .high = 2.0}).condition(copied, rng).select(at::tensor({1, 4, 2}, at::kLong));
}

std::vector<Tensor> taken_gradients(TextToy& pipeline) {
  std::vector<Tensor> out;
  for (Tensor& p : pipeline.parameters()) {
    out.push_back(p.grad().defined() ? p.grad().clone() : at::zeros_like(p));
    p.mutable_grad().reset();
  }
  return out;
}

LatentReward latent_reward(TextToy& pipeline) {
  return [&pipeline](const Tensor& clean) {
    return ToyReward().score({.images = pipeline.decode(clean), .prompts = {}}).values;
  };
}

/// How the engine evaluates an update.
struct Cut {
  std::int64_t micro = 0, prompts_at_once = 0;
  int replay_batch = 1;
  bool retain = false;
};

/// Gradients of a direct update by the engine: rollouts of `micro` samples, sweeps, and the text encoder's backward.
template <class Stop>
std::vector<Tensor> engine_gradients(TextToy& pipeline, const UnrolledSetup& setup, const Arrange& arrange,
                                     std::uint64_t seed, const Stop& stop, const Cut& cut) {
  ConditionSource source{encode_without_gradient(pipeline, kPrompts), arrange};
  if (setup.kl_weight > 0) {
    const auto scope = pipeline.reference_scope();
    source.untuned = encode_without_gradient(pipeline, kPrompts);
  }
  const SamplerSchedule schedule =
      Ddim({.num_steps = setup.sampler.num_steps, .eta = setup.sampler.eta}).schedule(pipeline.noise_schedule());
  const RolloutSetup all = sampling_setup(schedule, source.condition(), setup.guidance).with(setup.plan);
  Rng rng(seed);
  SampleNoise noise = SampleNoise::draw(all.size(), rng);
  ConditionGradient gradient(pipeline, source, cut.prompts_at_once);
  NetworkCounts counts;
  const std::int64_t micro = cut.micro > 0 ? cut.micro : all.size();
  for (std::int64_t begin = (all.size() - 1) / micro * micro; begin >= 0; begin -= micro) {  // in any order
    const std::int64_t size = std::min(micro, all.size() - begin);
    RolloutSetup part = all.narrow(begin, size);
    part.condition = gradient.collect(part.condition, at::arange(begin, begin + size, at::kLong));
    SampleNoise own = noise.narrow(begin, size);
    RetainedCalls retained{[&](int k) { return enters_input(stop, setup.plan, k); }};
    RetainedCalls* const kept = cut.retain ? &retained : nullptr;
    const Trajectory trajectory = rollout(pipeline, part, own, counts, {.retained = kept});
    CHECK_FALSE(trajectory.clean.requires_grad());
    const Tensor clean = trajectory.clean.detach().requires_grad_();
    const Tensor loss = -setup.scale * latent_reward(pipeline)(clean).sum() / static_cast<double>(all.size());
    const double share = static_cast<double>(size) / static_cast<double>(all.size());
    adjoint_sweep(pipeline, trajectory, torch::autograd::grad({loss}, {clean})[0], stop, counts,
                  {.replay_batch = cut.replay_batch, .retained = kept, .reference_weight = setup.kl_weight * share});
  }
  gradient.backward();
  return taken_gradients(pipeline);
}

std::vector<Tensor> engine_gradients(TextToy& pipeline, const UnrolledSetup& setup, const Arrange& arrange,
                                     std::uint64_t seed, const Cut& cut = {}) {
  return setup.stop_input ? engine_gradients(pipeline, setup, arrange, seed, StopInput(), cut)
                          : engine_gradients(pipeline, setup, arrange, seed, PassInput(), cut);
}

/// The condition with the encoder's graph, and with the untuned encoder's beside it.
Condition with_graph(TextToy& pipeline, const Arrange& arrange) {
  Condition condition = arrange(pipeline.encode(kPrompts));
  const auto scope = pipeline.reference_scope();
  condition.untuned = std::make_shared<const Condition>(arrange(pipeline.encode(kPrompts)));
  return condition;
}

SampleNoise noise_of(std::uint64_t seed) {
  Rng rng(seed);
  return SampleNoise::draw(3, rng);
}

/// Whether the text encoder's share of the gradients is a share to speak of.
bool reaches_text(const std::vector<Tensor>& gradients) {
  return gradients[gradients.size() - 1].abs().max().item<double>() > 1e-6 &&
         gradients[gradients.size() - 2].abs().max().item<double>() > 1e-6;
}

std::vector<UnrolledSetup> setups() {
  const StepPlan some{.last = 4, .jumps = false, .trained = {0, 2, 4}},
      stops_early{.last = 3, .jumps = true, .trained = {1, 3}};
  std::vector<UnrolledSetup> out;
  for (const bool stop : {true, false})
    for (const double guidance : {1.0, 3.0})
      for (const double kl : {0.0, 0.7})
        for (const StepPlan& plan : {some, stops_early})
          out.push_back({.sampler = {.eta = 0.5, .num_steps = 5},
                         .plan = plan,
                         .stop_input = stop,
                         .guidance = guidance,
                         .kl_weight = kl,
                         .scale = 1.7});
  return out;
}

}  // namespace
}  // namespace condition_gradient_test

TEST_CASE(
    "the text encoder's gradient equals retained autograd: stop and pass, guidance, KL, any cut and exploration") {
  using namespace condition_gradient_test;
  double worst = 0;
  for (const UnrolledSetup& setup : setups())
    for (const Arrange& arrange : {Arrange(as_encoded), Arrange(arranged)})
      for (const Cut& cut : {Cut{}, Cut{.micro = 1}, Cut{.micro = 2, .prompts_at_once = 2}, Cut{.replay_batch = 3},
                             Cut{.prompts_at_once = 1, .retain = true}}) {
        TextToy pipeline;
        pipeline.disturb(8, 0.05);
        const auto mine = engine_gradients(pipeline, setup, arrange, 4, cut);
        const auto truth =
            unrolled_update(pipeline, setup, with_graph(pipeline, arrange), noise_of(4), latent_reward(pipeline));
        REQUIRE(reaches_text(truth.gradients));
        worst = std::max(worst, distance(mine, truth.gradients));
        CHECK(distance(mine, truth.gradients) < 1e-10);
      }
  MESSAGE("worst relative error: ", worst);
}

TEST_CASE("it is the slope: of the reward under PassInput, of the reward with frozen network inputs under StopInput") {
  using namespace condition_gradient_test;
  double worst = 0;
  for (UnrolledSetup setup : setups()) {
    if (setup.kl_weight > 0) continue;
    if (!setup.stop_input) setup.plan.trained = {0, 1, 2, 3, 4}, setup.plan.last = 4, setup.plan.jumps = false;
    TextToy pipeline;
    const auto recorded =
        unrolled_update(pipeline, setup, with_graph(pipeline, arranged), noise_of(4), latent_reward(pipeline));
    const auto mine = engine_gradients(pipeline, setup, arranged, 4);
    const torch::NoGradGuard no_grad;
    for (std::size_t weight = 0; weight < 2; ++weight) {
      Tensor& w = pipeline.text_parameters()[weight];
      const Tensor& slopes = mine[mine.size() - 2 + weight];
      for (const int element : {0, 4, 7}) {
        Tensor entry = w.view({-1})[element];
        const double at = entry.item<double>(), step = 1e-5;
        const auto loss = [&](double value) {
          entry.fill_(value);
          const double result = frozen_loss(pipeline, setup, recorded, arranged(pipeline.encode(kPrompts)), noise_of(4),
                                            latent_reward(pipeline));
          entry.fill_(at);
          return result;
        };
        const double difference = (loss(at + step) - loss(at - step)) / (2 * step);
        const double error = std::abs(difference - slopes.view({-1})[element].item<double>());
        worst = std::max(worst, error);
        CHECK(error < 1e-8);
      }
    }
  }
  MESSAGE("worst error: ", worst);
}

TEST_CASE("a text encoder that is not trained costs one encoding and collects nothing") {
  using namespace condition_gradient_test;
  const UnrolledSetup setup = setups().front();
  TextToy frozen(false), trained(true);
  const auto without = engine_gradients(frozen, setup, as_encoded, 4);
  CHECK(frozen.encodings == 1);
  const auto with = engine_gradients(trained, setup, as_encoded, 4);
  CHECK(trained.encodings == 2);
  for (std::size_t i = 0; i < without.size(); ++i) CHECK(without[i].equal(with[i]));
}

TEST_CASE("a prompt's states are encoded again only as many at a time as asked for") {
  using namespace condition_gradient_test;
  TextToy pipeline;
  engine_gradients(pipeline, setups().front(), as_encoded, 4, {.prompts_at_once = 2});
  CHECK(pipeline.encodings == 1 + 2);
}

TEST_CASE("a pipeline whose states and trains_condition() disagree is a named error") {
  using namespace condition_gradient_test;
  TextToy lost;
  lost.lost_graph = true;
  CHECK_THROWS_WITH_AS(engine_gradients(lost, setups().front(), as_encoded, 4),
                       doctest::Contains("[DiffusionPipeline] trains_condition() is true, so expected encode() to"),
                       std::exception);
  struct Silent : ToyPipeline {
    Condition encode(const std::vector<std::string>& prompts) {
      Condition out = ToyPipeline::encode(prompts);
      out.positive.embeddings.requires_grad_();
      return out;
    }
  } silent;
  CHECK_THROWS_WITH_AS(encode_without_gradient(silent, kPrompts),
                       doctest::Contains("[DiffusionPipeline] expected encode() without a gradient"), std::exception);
}
