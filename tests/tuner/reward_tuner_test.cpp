// Whole updates: equal to the unrolled update, micro-batches, memory, counts, guards and options.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/methods/alignprop.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/draft_lv.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/methods/refl.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/samplers/ddpm.hpp>
#include <reward_tuner/step_selection/all_steps.hpp>
#include <reward_tuner/step_selection/random_steps.hpp>

#include <tests/reference/tensor_lists.hpp>
#include <tests/reference/toy_pipeline.hpp>
#include <tests/reference/toy_reward.hpp>
#include <tests/reference/unrolled.hpp>

namespace reward_tuner_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

const std::vector<std::string> kPrompts = {"a red circle", "two blue squares", "a star", "a green moon"};

/// An optimizer that only remembers what it was given.
struct Recorder {
  std::vector<Tensor> held, gradients;
  int steps = 0;
  const std::vector<Tensor>& parameters() const { return held; }
  void zero_grad() {
    for (Tensor& p : held) p.mutable_grad().reset();
  }
  void step() {
    ++steps;
    gradients.clear();
    for (const Tensor& p : held) gradients.push_back(p.grad().clone());
  }
};

/// Minus the distance of each image from its group's mean.
struct Together {
  using Role = RewardRole;
  static constexpr std::string_view kName = "together";
  static constexpr bool kDifferentiable = true, kPerGroup = true;
  std::vector<std::int64_t>* seen;
  RewardResult score(const RewardInput& input) const {
    for (std::int64_t i = 0; i < input.images.size(0); ++i) seen->push_back(input.group_ids[i].item<std::int64_t>());
    const Tensor same = (input.group_ids.unsqueeze(0) == input.group_ids.unsqueeze(1)).to(at::kDouble);  // [B,B]
    const Tensor flat = input.images.flatten(1);                                                         // [B,D]
    return {-(flat - same.matmul(flat) / same.sum(1, true)).square().mean(1)};                           // [B]
  }
};

struct Tuned {
  std::vector<Tensor> parameters;
  UpdateReport report;
};

/// Some AdamW updates of a fresh pipeline.
template <class Tuner>
Tuned tune(Tuner tuner, int updates, std::uint64_t seed) {
  ToyPipeline pipeline;
  AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-2});
  Rng rng(seed);
  UpdateReport report;
  for (int i = 0; i < updates; ++i) report = tuner.update(pipeline, optimizer, kPrompts, rng);
  return {copies(pipeline.parameters()), report};
}

/// A pipeline and an AdamW with some history, and a snapshot of both.
struct Guarded {
  ToyPipeline pipeline;
  AdamW optimizer{pipeline.parameters(), {.learning_rate = 1e-2}};
  Rng rng{3};
  std::vector<Tensor> parameters, moments;

  Guarded() {
    DRTune<ToyReward>(ToyReward(), {.sampler = {.num_steps = 4}, .steps = {.num_trained = 2}})
        .update(pipeline, optimizer, kPrompts, rng);
    parameters = copies(pipeline.parameters());
    for (const auto& [name, tensor] : optimizer.state()) moments.push_back(tensor.clone());
  }
  bool untouched() const {
    std::vector<Tensor> now;
    for (const auto& [name, tensor] : optimizer.state()) now.push_back(tensor);
    bool no_gradients = true;
    for (const Tensor& p : optimizer.parameters()) no_gradients = no_gradients && !p.grad().defined();
    return no_gradients && bit_equal(optimizer.parameters(), parameters) && bit_equal(now, moments);
  }
};

/// Peak bytes of one update of a network that outweighs everything else.
template <class Tuner>
std::int64_t peak_bytes(Tuner tuner) {
  ToyPipeline pipeline({.side = 16, .width = 64, .dtype = at::kFloat});
  Recorder optimizer{pipeline.parameters(), {}};
  Rng rng(1);
  return tuner.update(pipeline, optimizer, kPrompts, rng).peak_tensor_bytes;
}

}  // namespace
}  // namespace reward_tuner_test

TEST_CASE(
    "an update's gradients equal the unrolled update's, for every direct method, with and without a regularizer") {
  using namespace reward_tuner_test;
  double worst = 0;
  const auto compare = [&](auto tuner, PlainSampler sampler, bool stop, double kl_weight, std::uint64_t seed) {
    ToyPipeline pipeline;
    pipeline.disturb(8, 0.05);  // away from the reference
    Recorder optimizer{pipeline.parameters(), {}};
    Rng rng(seed), same(seed);
    const UpdateReport report = tuner.update(pipeline, optimizer, kPrompts, rng);
    const StepPlan plan =
        typename decltype(tuner)::StepSelection(tuner.options().steps).plan({.num_steps = sampler.num_steps}, same);
    CHECK(report.plan == plan);
    const UnrolledSetup setup{
        .sampler = sampler, .plan = plan, .stop_input = stop, .guidance = 3.0, .kl_weight = kl_weight, .scale = 2.5};
    const LatentReward reward = [&](const Tensor& clean) {
      return ToyReward().score({.images = pipeline.decode(clean), .prompts = kPrompts}).values;
    };
    const auto truth = unrolled_update(pipeline, setup, pipeline.encode(kPrompts), SampleNoise::draw(4, same), reward);
    worst = std::max(worst, distance(optimizer.gradients, truth.gradients));
    CHECK(distance(optimizer.gradients, truth.gradients) < 1e-10);
    CHECK(report.loss == doctest::Approx(truth.loss).epsilon(1e-10));
    CHECK(report.reward == doctest::Approx(reward(truth.clean).mean().item<double>()).epsilon(1e-10));
    double norm = 0;
    for (const Tensor& g : truth.gradients) norm += g.square().sum().item<double>();
    CHECK(report.gradient_norm == doctest::Approx(std::sqrt(norm)).epsilon(1e-10));
  };
  for (const std::uint64_t seed : {1, 2, 3}) {
    const EngineOptions whole{.gradient_clip = 0};
    compare(DRTune<ToyReward>(ToyReward(), {.sampler = {.num_steps = 10, .guidance = 3.0, .eta = 0.5},
                                            .steps = {.num_trained = 3},
                                            .objective = {.scale = 2.5},
                                            .engine = whole}),
            {.eta = 0.5, .num_steps = 10}, true, 0, seed);
    compare(DRaFT<ToyReward, Ddpm>(ToyReward(), {.sampler = {.num_steps = 6, .guidance = 3.0},
                                                 .steps = {.num_trained = 3},
                                                 .objective = {.scale = 2.5},
                                                 .engine = whole}),
            {.ddpm = true, .num_steps = 6}, false, 0, seed);
    compare(DRTune<ToyReward, PassInput>(ToyReward(), {.sampler = {.num_steps = 7, .guidance = 3.0},
                                                       .steps = {.num_trained = 3},
                                                       .objective = {.scale = 2.5},
                                                       .engine = whole}),
            {.num_steps = 7}, false, 0, seed);
    compare(ReFL<ToyReward, Ddpm>(ToyReward(), {.sampler = {.num_steps = 8, .guidance = 3.0},
                                                .steps = {.max_stop = 6},
                                                .objective = {.scale = 2.5},
                                                .engine = whole}),
            {.ddpm = true, .num_steps = 8}, false, 0, seed);
    compare(AlignProp<ToyReward>(ToyReward(), {.sampler = {.num_steps = 6, .guidance = 3.0, .eta = 1.0},
                                               .objective = {.scale = 2.5},
                                               .engine = whole}),
            {.eta = 1.0, .num_steps = 6}, false, 0, seed);
    compare(AlignProp<ToyReward, StopInput>(ToyReward(), {.sampler = {.num_steps = 6, .guidance = 3.0},
                                                          .objective = {.scale = 2.5},
                                                          .engine = {.gradient_clip = 0, .replay_batch = 3}}),
            {.num_steps = 6}, true, 0, seed);
    compare(AlignProp<ToyReward>(ToyReward(), {.sampler = {.num_steps = 9, .guidance = 3.0},
                                               .steps = {.draw = HorizonDraw::kPerRollout},
                                               .objective = {.scale = 2.5},
                                               .engine = {.gradient_clip = 0, .memory = Memory::kRetain}}),
            {.num_steps = 9}, false, 0, seed);
    compare(RewardTuner<ToyReward, RandomSteps>(ToyReward(), {.sampler = {.num_steps = 6, .guidance = 3.0},
                                                              .steps = {.num_trained = 3},
                                                              .objective = {.scale = 2.5},
                                                              .engine = whole}),
            {.num_steps = 6}, true, 0, seed);
    compare(
        RewardTuner<ToyReward, AllSteps, PassInput>(
            ToyReward(), {.sampler = {.num_steps = 5, .guidance = 3.0}, .objective = {.scale = 2.5}, .engine = whole}),
        {.num_steps = 5}, false, 0, seed);
    compare(DRTune<ToyReward, KlToReference>(ToyReward(), {.sampler = {.num_steps = 8, .guidance = 3.0},
                                                           .steps = {.num_trained = 4},
                                                           .objective = {.scale = 2.5},
                                                           .regularizer = {.weight = 0.7},
                                                           .engine = whole}),
            {.num_steps = 8}, true, 0.7, seed);
    compare(DRaFT<ToyReward, KlToReference>(ToyReward(), {.sampler = {.num_steps = 5, .guidance = 3.0},
                                                          .steps = {.num_trained = 5},
                                                          .objective = {.scale = 2.5},
                                                          .regularizer = {.weight = 0.7},
                                                          .engine = whole}),
            {.num_steps = 5}, false, 0.7, seed);
  }
  MESSAGE("worst relative error: ", worst);
}

TEST_CASE("DRaFT-LV's gradient is the mean over the base and its replicas, each unrolled") {
  using namespace reward_tuner_test;
  double worst = 0;
  const auto compare = [&](auto tuner, PlainSampler sampler, double guidance, std::uint64_t seed, bool base,
                           int noises) {
    ToyPipeline pipeline;
    Recorder optimizer{pipeline.parameters(), {}};
    Rng rng(seed), same(seed);
    const UpdateReport report = tuner.update(pipeline, optimizer, kPrompts, rng);
    const Condition condition = pipeline.encode(kPrompts);
    SampleNoise streams = SampleNoise::draw(4, same);
    const LatentReward reward = [&](const Tensor& clean) {
      return ToyReward().score({.images = pipeline.decode(clean), .prompts = kPrompts}).values;
    };
    const int T = sampler.num_steps;
    const UnrolledSetup setup{
        .sampler = sampler,
        .plan = {.last = T - 1, .jumps = false, .trained = base ? std::vector<int>{T - 1} : std::vector<int>{}},
        .stop_input = false,
        .guidance = guidance};
    // consumes the same streams
    const auto rolled = unrolled_update(pipeline, setup, condition, streams, reward);
    std::vector<Tensor> sum;
    double loss = base ? rolled.loss : 0;
    for (const Tensor& g : rolled.gradients) sum.push_back(base ? g : at::zeros_like(g));
    const auto level = plain_levels(sampler).back();
    const torch::AutoGradMode grad(true);
    for (int i = 0; i < noises; ++i) {
      const Tensor x = std::sqrt(level.abar) * rolled.clean +
                       std::sqrt(1 - level.abar) * streams.normal(pipeline.latent_shape(4), pipeline.latent_options());
      const auto [u, c] = plain_outputs(pipeline, x, level.timestep, condition, guidance);
      const Tensor own = -reward(plain_clean(sampler, level, x, u + guidance * (c - u))).mean();
      loss += own.item<double>();
      const auto g = torch::autograd::grad({own}, {pipeline.parameters().begin(), pipeline.parameters().end()}, {}, {},
                                           false, true);
      for (std::size_t j = 0; j < sum.size(); ++j)
        if (g[j].defined()) sum[j] = sum[j] + g[j];
    }
    const double count = noises + (base ? 1 : 0);
    for (Tensor& g : sum) g = g / count;
    worst = std::max(worst, distance(optimizer.gradients, sum));
    CHECK(distance(optimizer.gradients, sum) < 1e-10);
    CHECK(report.loss == doctest::Approx(loss / count).epsilon(1e-10));
    CHECK(report.reward == doctest::Approx(-loss / count).epsilon(1e-10));
    CHECK(report.backwards == static_cast<std::int64_t>(count));
    return report.forwards;
  };
  for (const std::uint64_t seed : {1, 2, 3})
    for (const auto memory : {Memory::kReplay, Memory::kRetain})
      for (const bool base : {true, false}) {
        const EngineOptions engine{.gradient_clip = 0, .memory = memory};
        const NoisedTailOptions steps{.num_noises = 3, .include_base = base};
        const auto forwards =
            compare(DRaFTLV<ToyReward>(
                        ToyReward(),
                        {.sampler = {.num_steps = 5, .guidance = 3.0, .eta = 0.5}, .steps = steps, .engine = engine}),
                    {.eta = 0.5, .num_steps = 5}, 3.0, seed, base, 3);
        CHECK(forwards == 5 + (memory == Memory::kReplay ? (base ? 1 : 0) + 6 : 3));
        compare(DRaFTLV<ToyReward, Ddpm>(
                    ToyReward(), {.sampler = {.num_steps = 4, .guidance = 1.0}, .steps = steps, .engine = engine}),
                {.ddpm = true, .num_steps = 4}, 1.0, seed, base, 3);
      }
  MESSAGE("worst relative error: ", worst);
}

TEST_CASE(
    "identities: DRaFT-LV without noises and AlignProp cut at the last step are DRaFT-1, AlignProp of all steps is "
    "DRaFT-T, DRaFT-1 with either stop is the same") {
  using namespace reward_tuner_test;
  const DdimOptions sampler{.num_steps = 6, .guidance = 3.0, .eta = 1.0};
  for (const std::uint64_t seed : {1, 2, 3}) {
    const auto draft =
        tune(DRaFT<ToyReward>(ToyReward(), {.sampler = sampler, .steps = {.num_trained = 1}}), 3, seed).parameters;
    CHECK(bit_equal(
        tune(DRaFTLV<ToyReward>(ToyReward(), {.sampler = sampler, .steps = {.num_noises = 0}}), 3, seed).parameters,
        draft));
    CHECK(bit_equal(
        tune(AlignProp<ToyReward>(ToyReward(), {.sampler = sampler, .steps = {.draw = HorizonDraw::kFixed}}), 3, seed)
            .parameters,
        draft));
    CHECK(bit_equal(
        tune(DRaFT<ToyReward, StopInput>(ToyReward(), {.sampler = sampler, .steps = {.num_trained = 1}}), 3, seed)
            .parameters,
        draft));
    const auto full =
        tune(DRaFT<ToyReward>(ToyReward(), {.sampler = sampler, .steps = {.num_trained = 6}}), 3, seed).parameters;
    CHECK(bit_equal(tune(AlignProp<ToyReward>(
                             ToyReward(), {.sampler = sampler, .steps = {.draw = HorizonDraw::kFixed, .cutoff = 0}}),
                         3, seed)
                        .parameters,
                    full));
    CHECK(bit_equal(
        tune(RewardTuner<ToyReward, PassInput, AllSteps>(ToyReward(), {.sampler = sampler}), 3, seed).parameters,
        full));
    CHECK_FALSE(bit_equal(full, draft));
    // the same steps, another gradient
    const auto all =
        tune(DRaFT<ToyReward, StopInput>(ToyReward(), {.sampler = sampler, .steps = {.num_trained = 6}}), 3, seed)
            .parameters;
    CHECK_FALSE(bit_equal(all, full));
    CHECK(bit_equal(
        tune(RewardTuner<ToyReward, StopInput, AllSteps>(ToyReward(), {.sampler = sampler}), 3, seed).parameters, all));
  }
}

TEST_CASE("one noising alone, with the noise the rollout itself predicts, is ReFL's jump from the last step") {
  using namespace reward_tuner_test;
  // x_1 = alpha*x_0 + sigma*e with x_0 the jump from x_1 and e the predicted noise gives x_1 back, so the replica is
  // DRaFT-1's last step jumping to x_0
  ToyPipeline pipeline;
  const Condition condition = pipeline.encode(kPrompts);
  const auto schedule = Ddim({.num_steps = 5, .guidance = 3.0}).schedule(pipeline.noise_schedule());
  NetworkCounts counts;
  SampleNoise noise({1, 2, 3, 4});
  const auto jumped = rollout(pipeline, sampling_setup(schedule, condition, 3.0).with(replica_plan(5)), noise, counts);
  const Tensor x1 = jumped.latent(4);
  const SamplerStep& last = schedule.steps[4];
  const Tensor predicted = (x1 - last.alpha * jumped.clean) / last.sigma;
  SampleNoise recorded = SampleNoise::recorded({predicted});
  const auto replica = renoised(pipeline, jumped, recorded, counts);
  CHECK(at::allclose(replica.latent(4), x1, 1e-12, 1e-12));
  CHECK(at::allclose(replica.clean, jumped.clean, 1e-10, 1e-12));
  CHECK(closed_form_cotangents(schedule, replica.setup.plan) == closed_form_cotangents(schedule, jumped.setup.plan));
}

TEST_CASE("each trained step's cotangent norm is that of the closed form, whatever the micro-batch") {
  using namespace reward_tuner_test;
  const auto report = [](int micro) {
    return tune(make<DRTune>(ToyReward(), {.sampler = {.num_steps = 6, .guidance = 3.0},
                                           .steps = {.num_trained = 3, .max_early_stop = 0},
                                           .engine = {.micro_batch = micro}}),
                1, 3)
        .report;
  };
  const UpdateReport whole = report(0), parts = report(1);
  REQUIRE(whole.steps.size() == 3);
  REQUIRE(parts.steps.size() == 3);
  ToyPipeline pipeline;
  const auto factors = closed_form_cotangents(Ddim({.num_steps = 6}).schedule(pipeline.noise_schedule()), whole.plan);
  for (std::size_t i = 0; i < 3; ++i) {
    const StepReport& step = whole.steps[i];
    CHECK(step.step == whole.plan.trained[i]);
    CHECK(step.rows == 0);
    CHECK(step.cotangent_norm == doctest::Approx(parts.steps[i].cotangent_norm).epsilon(1e-12));
    CHECK(step.cotangent_norm / whole.steps[0].cotangent_norm ==
          doctest::Approx(std::abs(factors(step.step) / factors(whole.steps[0].step))).epsilon(1e-12));
  }
}

TEST_CASE("the variance of DRaFT-LV's gradient falls with the number of noises") {
  using namespace reward_tuner_test;
  // the rollout's own share of the variance stays: so the start is the same each time, and the last step's noise is
  // what varies
  const auto variance = [](int noises) {
    ToyPipeline pipeline;
    const Condition condition = pipeline.encode(kPrompts);
    const auto schedule = Ddim({.num_steps = 4, .guidance = 1.0}).schedule(pipeline.noise_schedule());
    NetworkCounts counts;
    SampleNoise start({1, 2, 3, 4});
    const auto finished = rollout(pipeline, sampling_setup(schedule, condition, 1.0), start, counts);
    std::vector<Tensor> gradients;
    for (std::uint64_t trial = 0; trial < 120; ++trial) {
      Rng rng(1000 + trial);
      SampleNoise noise = SampleNoise::draw(4, rng);
      for (Tensor& p : pipeline.parameters()) p.mutable_grad().reset();
      for (int i = 0; i < noises; ++i) {
        const auto replica = renoised(pipeline, finished, noise, counts);
        const auto scored = reward_gradient(
            pipeline, ToyReward(), {replica.clean, kPrompts, noise.seeds()}, [](const Tensor& r) { return -r; }, 0);
        adjoint_sweep(pipeline, replica, scored.gradient / (4.0 * noises), PassInput(), counts);
      }
      std::vector<Tensor> flat;
      for (const Tensor& p : pipeline.parameters()) flat.push_back(p.grad().flatten());
      gradients.push_back(at::cat(flat));
    }
    return at::stack(gradients).var(0).sum().item<double>();
  };
  const double one = variance(1), two = variance(2), eight = variance(8);
  MESSAGE("variance with 2 and 8 noises over that with 1: ", two / one, ", ", eight / one);
  // independent noises: 1/n; 120 trials know a variance to about 13%
  CHECK(two / one == doctest::Approx(0.5).epsilon(0.35));
  CHECK(eight / one == doctest::Approx(0.125).epsilon(0.35));
}

TEST_CASE("policies may stand in any order, and a reward alone is DRTune") {
  using namespace reward_tuner_test;
  const auto plain =
      tune(DRTune<ToyReward, Ddpm>(ToyReward(), {.sampler = {.num_steps = 5}, .steps = {.num_trained = 2}}), 2, 1);
  const auto turned = tune(RewardTuner<Ddpm, SpreadSteps, ToyReward>(
                               ToyReward(), {.sampler = {.num_steps = 5}, .steps = {.num_trained = 2}}),
                           2, 1);
  CHECK(bit_equal(plain.parameters, turned.parameters));
  const auto made =
      tune(make<DRTune, Ddpm>(ToyReward(), {.sampler = {.num_steps = 5}, .steps = {.num_trained = 2}}), 2, 1);
  CHECK(bit_equal(plain.parameters, made.parameters));
  const auto ddim =
      tune(RewardTuner<ToyReward>(ToyReward(), {.sampler = {.num_steps = 5}, .steps = {.num_trained = 2}}), 2, 1);
  CHECK_FALSE(bit_equal(plain.parameters, ddim.parameters));
}

TEST_CASE("equal seeds give bit-equal updates, and evaluation in between does not disturb them") {
  using namespace reward_tuner_test;
  const auto tuner = [] {
    return DRTune<ToyReward>(ToyReward(), {.sampler = {.num_steps = 6, .eta = 1.0}, .steps = {.num_trained = 2}});
  };
  const auto once = tune(tuner(), 4, 5), again = tune(tuner(), 4, 5), other = tune(tuner(), 4, 6);
  CHECK(bit_equal(once.parameters, again.parameters));
  CHECK_FALSE(bit_equal(once.parameters, other.parameters));

  ToyPipeline pipeline;
  AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-2});
  auto evaluated = tuner();
  Rng rng(5);
  for (int i = 0; i < 4; ++i) {
    SampleNoise noise({100, 101});  // evaluation has seeds of its own
    NetworkCounts counts;
    const auto schedule = evaluated.sampler().schedule(pipeline.noise_schedule());
    rollout(pipeline, sampling_setup(schedule, pipeline.encode({"a", "b"}), 2.0), noise, counts);
    evaluated.update(pipeline, optimizer, kPrompts, rng);
  }
  CHECK(bit_equal(once.parameters, copies(pipeline.parameters())));
}

TEST_CASE("a reward gets one seed an image, the sample's own, whatever the micro-batch and the chunk") {
  using namespace reward_tuner_test;
  const auto seen = [](EngineOptions engine) {
    ToyPipeline pipeline;
    Recorder optimizer{pipeline.parameters(), {}};
    std::vector<std::uint64_t> seeds;
    auto reward = differentiable([&seeds](const RewardInput& input) {
      CHECK(input.seeds.size() == input.prompts.size());
      seeds.insert(seeds.end(), input.seeds.begin(), input.seeds.end());
      return input.images.mean({1, 2, 3});
    });
    Rng rng(2);
    make<DRaFT>(reward, {.sampler = {.num_steps = 3}, .engine = engine}).update(pipeline, optimizer, kPrompts, rng);
    return seeds;
  };
  const auto whole = seen({});
  REQUIRE(whole.size() == 4);
  CHECK(whole[0] != whole[1]);
  CHECK(seen({.micro_batch = 3}) == whole);
  CHECK(seen({.decode_batch = 1}) == whole);
}

TEST_CASE("micro-batches add up to the whole batch") {
  using namespace reward_tuner_test;
  double worst = 0;
  for (const int micro : {1, 2, 3}) {  // 3 leaves a remainder of 1
    const auto gradients = [&](int size) {
      ToyPipeline pipeline;
      pipeline.disturb(8, 0.05);
      Recorder optimizer{pipeline.parameters(), {}};
      Rng rng(2);
      DRTune<ToyReward, KlToReference> tuner(ToyReward(), {.sampler = {.num_steps = 6, .eta = 1.0},
                                                           .steps = {.num_trained = 2},
                                                           .regularizer = {.weight = 0.5},
                                                           .engine = {.micro_batch = size, .gradient_clip = 0}});
      const auto report = tuner.update(pipeline, optimizer, kPrompts, rng);
      return std::pair(optimizer.gradients, report);
    };
    const auto [parts, part_report] = gradients(micro);
    const auto [whole, whole_report] = gradients(0);
    worst = std::max(worst, distance(parts, whole));
    CHECK(part_report.loss == doctest::Approx(whole_report.loss).epsilon(1e-12));
    CHECK(part_report.reward == doctest::Approx(whole_report.reward).epsilon(1e-12));
    CHECK(part_report.components.at("square") == doctest::Approx(whole_report.components.at("square")).epsilon(1e-12));
  }
  MESSAGE("worst relative difference: ", worst);
  CHECK(worst < 1e-12);
}

TEST_CASE("a reward of groups is given them by direct methods, and no micro-batch cuts one") {
  using namespace reward_tuner_test;
  const std::vector<std::string> spread = {"a star", "a moon", "a star", "a fish", "a moon", "a star", "a fish"};
  std::vector<std::int64_t> seen;
  const auto gradients = [&](int micro, int decode, bool any) {
    seen.clear();
    ToyPipeline pipeline;
    pipeline.disturb(8, 0.05);
    Recorder optimizer{pipeline.parameters(), {}};
    Rng rng(2);
    const auto with = [&](auto reward) {
      return make<DRaFT>(reward, {.sampler = {.num_steps = 4},
                                  .steps = {.num_trained = 2},
                                  .engine = {.micro_batch = micro, .gradient_clip = 0, .decode_batch = decode}})
          .update(pipeline, optimizer, spread, rng);
    };
    const UpdateReport report = any ? with(AnyReward(Together{&seen})) : with(Together{&seen});
    return std::pair(optimizer.gradients, report.reward);
  };
  const auto [whole, reward] = gradients(0, 0, false);
  CHECK(seen == std::vector<std::int64_t>{0, 1, 0, 2, 1, 0, 2});
  CHECK(reward < 0);
  for (const bool any : {false, true})
    for (const int micro : {0, 3, 4, 5, 9})
      for (const int decode : {0, 1, 2}) {
        const auto [parts, sum] = gradients(micro, decode, any);
        CHECK(distance(parts, whole) < 1e-12);
        CHECK(sum == doctest::Approx(reward).epsilon(1e-12));
        CHECK(seen.size() == spread.size());
      }
  CHECK_THROWS_WITH_AS(gradients(2, 0, false),
                       doctest::Contains("micro_batch would cut a group of the reward together"), Error);
  CHECK_THROWS_WITH_AS(gradients(2, 0, true),
                       doctest::Contains("the reward together: expected 0 or at least 3, the images"), Error);
}

TEST_CASE("an update costs n + K forwards and K backwards, and K more forwards with a reference") {
  using namespace reward_tuner_test;
  for (const std::uint64_t seed : {1, 2, 3, 4}) {
    const auto drtune =
        tune(DRTune<ToyReward>(ToyReward(), {.sampler = {.num_steps = 10}, .steps = {.num_trained = 5}}), 1, seed)
            .report;
    const auto n = drtune.plan.last + 1, k = static_cast<int>(drtune.plan.trained.size());
    CHECK(drtune.forwards == n + k);
    CHECK(drtune.backwards == k);
    const auto kl =
        tune(DRTune<ToyReward, KlToReference>(ToyReward(), {.sampler = {.num_steps = 10}, .steps = {.num_trained = 5}}),
             1, seed)
            .report;
    CHECK(kl.plan == drtune.plan);
    CHECK(kl.forwards == n + 2 * k);
    CHECK(kl.backwards == k);
    const auto off =
        tune(
            DRTune<ToyReward, KlToReference>(
                ToyReward(), {.sampler = {.num_steps = 10}, .steps = {.num_trained = 5}, .regularizer = {.weight = 0}}),
            1, seed)
            .report;
    CHECK(off.forwards == n + k);
  }
  const auto draft =
      tune(DRaFT<ToyReward>(ToyReward(), {.sampler = {.num_steps = 10}, .steps = {.num_trained = 4}}), 1, 1).report;
  CHECK(draft.forwards == 14);
  CHECK(draft.backwards == 4);
  const auto micro =
      tune(DRaFT<ToyReward>(ToyReward(),
                            {.sampler = {.num_steps = 10}, .steps = {.num_trained = 4}, .engine = {.micro_batch = 2}}),
           1, 1)
          .report;
  CHECK(micro.forwards == 2 * 14);
}

TEST_CASE("guidance 1 runs the network on half the rows and equals the condition alone") {
  using namespace reward_tuner_test;
  for (const double guidance : {1.0, 3.0}) {
    ToyPipeline pipeline;
    Recorder optimizer{pipeline.parameters(), {}};
    Rng rng(1);
    DRaFT<ToyReward> tuner(ToyReward(),
                           {.sampler = {.num_steps = 3, .guidance = guidance}, .steps = {.num_trained = 1}});
    tuner.update(pipeline, optimizer, kPrompts, rng);
    CHECK(pipeline.rows == (guidance == 1.0 ? 4 : 8) * 4);
  }
}

TEST_CASE("peak memory is flat in K and T, unlike a retained graph's") {
  using namespace reward_tuner_test;
  const auto drtune = [](int T, int K) {
    return peak_bytes(DRTune<ToyReward>(
        ToyReward(), {.sampler = {.num_steps = T}, .steps = {.num_trained = K, .max_early_stop = 0}}));
  };
  const auto draft = [](int T, int K) {
    return peak_bytes(DRaFT<ToyReward>(ToyReward(), {.sampler = {.num_steps = T}, .steps = {.num_trained = K}}));
  };
  // From K = 2 on a second copy of the parameters' gradients lives while the first is added to; K alone adds a latent
  // of 8 kB a step.
  const double drtune_k = static_cast<double>(drtune(8, 8)) / static_cast<double>(drtune(8, 2)),
               drtune_t = static_cast<double>(drtune(20, 2)) / static_cast<double>(drtune(4, 2));
  const double draft_k = static_cast<double>(draft(8, 8)) / static_cast<double>(draft(8, 2));
  MESSAGE("DRTune K 8/2: ", drtune_k, ", T 20/4: ", drtune_t, "; DRaFT K 8/2: ", draft_k);
  CHECK(std::abs(drtune_k - 1) < 0.05);
  CHECK(std::abs(drtune_t - 1) < 0.05);
  CHECK(std::abs(draft_k - 1) < 0.05);

  const auto retained = [](int K) {  // control: the meter does see a graph that is kept
    ToyPipeline pipeline({.side = 16, .width = 64, .dtype = at::kFloat});
    UnrolledSetup setup{
        .sampler = {.num_steps = 8}, .plan = {.last = 7, .jumps = false, .trained = {}}, .guidance = 7.5};
    for (int k = 8 - K; k < 8; ++k) setup.plan.trained.push_back(k);
    Rng rng(1);
    const auto condition = pipeline.encode(kPrompts);
    const MemoryMeter meter;
    unrolled_update(pipeline, setup, condition, SampleNoise::draw(4, rng), [&](const Tensor& clean) {
      return ToyReward().score({.images = pipeline.decode(clean), .prompts = kPrompts}).values;
    });
    return static_cast<double>(meter.peak_bytes());
  };
  // unrolled_update keeps untrained steps' graphs for the length of one step only
  CHECK(retained(4) / retained(1) > 1.2);
}

TEST_CASE("gradient clipping scales the whole gradient and nothing else") {
  using namespace reward_tuner_test;
  const auto gradients = [](double clip) {
    ToyPipeline pipeline;
    Recorder optimizer{pipeline.parameters(), {}};
    Rng rng(2);
    DRaFT<ToyReward> tuner(ToyReward(), {.sampler = {.num_steps = 4}, .engine = {.gradient_clip = clip}});
    const auto report = tuner.update(pipeline, optimizer, kPrompts, rng);
    return std::pair(optimizer.gradients, report.gradient_norm);
  };
  const auto [raw, norm] = gradients(0);
  const auto [clipped, same_norm] = gradients(norm / 8);
  CHECK(same_norm == norm);
  for (std::size_t i = 0; i < raw.size(); ++i) CHECK(at::allclose(clipped[i], raw[i] / 8.0, 1e-12, 1e-15));
  CHECK(bit_equal(gradients(norm * 2).first, raw));
}

TEST_CASE("a reward that is not finite, or whose gradient is not, skips the update and touches nothing") {
  using namespace reward_tuner_test;
  for (const auto& [failure, reason] :
       {std::pair{ToyFailure::kNan, "the reward is not finite"},
        std::pair{ToyFailure::kInfiniteGradient, "the gradient of the reward is not finite"}}) {
    Guarded guarded;
    DRTune<ToyReward> tuner(
        ToyReward{failure},
        {.sampler = {.num_steps = 4}, .steps = {.num_trained = 2}, .engine = {.max_skipped_in_a_row = 3}});
    for (int i = 1; i <= 2; ++i) {
      const auto report = tuner.update(guarded.pipeline, guarded.optimizer, kPrompts, guarded.rng);
      CHECK(report.skipped);
      CHECK(report.skip_reason == reason);
      CHECK(report.skipped_updates == i);
      CHECK(report.update == i);
      CHECK(guarded.untouched());
    }
    CHECK_THROWS_WITH_AS(tuner.update(guarded.pipeline, guarded.optimizer, kPrompts, guarded.rng),
                         (std::string("[RewardTuner] 3 updates in a row were skipped because ") + reason +
                          "; parameters are as before the first of them")
                             .c_str(),
                         Error);
    CHECK(guarded.untouched());
    CHECK(tuner.state() == TunerState{.updates = 3, .skipped = 3, .skipped_in_a_row = 3});
  }
}

TEST_CASE("an infinite parameter gradient skips the update; a good one ends the row of skips") {
  using namespace reward_tuner_test;
  Guarded guarded;
  bool broken = true;
  guarded.pipeline.parameters()[4].register_hook(
      [&](const Tensor& g) { return broken ? g * std::numeric_limits<double>::infinity() : g; });
  DRTune<ToyReward> tuner(
      ToyReward(), {.sampler = {.num_steps = 4}, .steps = {.num_trained = 2}, .engine = {.max_skipped_in_a_row = 3}});
  for (int i = 0; i < 2; ++i) {
    CHECK(tuner.update(guarded.pipeline, guarded.optimizer, kPrompts, guarded.rng).skip_reason ==
          "the gradient of the parameters is not finite");
    CHECK(guarded.untouched());
  }
  broken = false;
  const auto good = tuner.update(guarded.pipeline, guarded.optimizer, kPrompts, guarded.rng);
  CHECK_FALSE(good.skipped);
  CHECK(good.skipped_updates == 2);
  CHECK_FALSE(guarded.untouched());
  CHECK(tuner.state() == TunerState{.updates = 3, .skipped = 2, .skipped_in_a_row = 0});
  broken = true;
  CHECK_NOTHROW(tuner.update(guarded.pipeline, guarded.optimizer, kPrompts, guarded.rng));  // the row begins anew
}

TEST_CASE("a reward that throws or answers wrongly is a named error and touches nothing") {
  using namespace reward_tuner_test;
  Guarded guarded;
  const auto wrong = [&](ToyFailure failure, const char* sentence) {
    DRTune<ToyReward> tuner(ToyReward{failure}, {.sampler = {.num_steps = 4}, .steps = {.num_trained = 2}});
    CHECK_THROWS_WITH_AS(tuner.update(guarded.pipeline, guarded.optimizer, kPrompts, guarded.rng),
                         doctest::Contains(sentence), Error);
    CHECK(guarded.untouched());
    CHECK(tuner.state() == TunerState());
  };
  wrong(ToyFailure::kThrows, "[RewardPolicy] the reward toy threw: the detector is on holiday");
  wrong(ToyFailure::kNoGraph, "says it is differentiable, but its values carry no gradient");
  wrong(ToyFailure::kWrongShape, "must return [4] values, got [4, 1]");
}

TEST_CASE("prompts and optimizers that cannot be trained with are named errors") {
  using namespace reward_tuner_test;
  Guarded guarded;
  DRTune<ToyReward> tuner(ToyReward(), {.sampler = {.num_steps = 4}, .steps = {.num_trained = 2}});
  CHECK_THROWS_WITH_AS(tuner.update(guarded.pipeline, guarded.optimizer, {}, guarded.rng),
                       doctest::Contains("expected at least one prompt, got none"), Error);
  CHECK_THROWS_WITH_AS(tuner.update(guarded.pipeline, guarded.optimizer, {"a", " \t"}, guarded.rng),
                       doctest::Contains("prompt 2 of 2 is empty"), Error);
  AdamW foreign({at::ones({2}).requires_grad_()});
  CHECK_THROWS_WITH_AS(tuner.update(guarded.pipeline, foreign, kPrompts, guarded.rng),
                       doctest::Contains("no parameter of the optimizer received a gradient"), Error);
}

TEST_CASE("options that are out of range or do not fit together fail at construction with a sentence") {
  using namespace reward_tuner_test;
  CHECK_THROWS_WITH_AS(DRTune<ToyReward>(ToyReward(), {.sampler = {.num_steps = 4}, .steps = {.num_trained = 5}}),
                       doctest::Contains("[SpreadSteps] num_trained must be at most the sampler's 4"), Error);
  CHECK_THROWS_WITH_AS(DRaFT<ToyReward>(ToyReward(), {.sampler = {.num_steps = 4}, .steps = {.num_trained = 5}}),
                       doctest::Contains("[LastSteps] num_trained must be at most the sampler's 4"), Error);
  CHECK_THROWS_WITH_AS(DRTune<ToyReward>(ToyReward(), {.sampler = {.eta = 2}}),
                       doctest::Contains("[Ddim] eta must be in [0, 1], got 2"), Error);
  CHECK_THROWS_WITH_AS(DRTune<ToyReward>(ToyReward(), {.objective = {.scale = 0}}),
                       doctest::Contains("[DirectGradient] scale must be > 0"), Error);
  CHECK_THROWS_WITH_AS(DRTune<ToyReward>(ToyReward(), {.engine = {.micro_batch = -1}}),
                       doctest::Contains("engine.micro_batch must be >= 0"), Error);
  CHECK_THROWS_WITH_AS(DRTune<ToyReward>(ToyReward(), {.engine = {.gradient_clip = -1}}),
                       doctest::Contains("engine.gradient_clip must be >= 0"), Error);
  CHECK_THROWS_WITH_AS(DRTune<ToyReward>(ToyReward(), {.engine = {.max_skipped_in_a_row = 0}}),
                       doctest::Contains("engine.max_skipped_in_a_row must be >= 1"), Error);
  CHECK_THROWS_WITH_AS((DRTune<ToyReward, KlToReference>(ToyReward(), {.regularizer = {.weight = -1}})),
                       doctest::Contains("[KlToReference] weight must be finite and >= 0"), Error);
}
