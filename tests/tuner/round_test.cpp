// Whole rounds of the objectives that learn from samples: ratios, costs, branches, guards, micro-batches and what a
// tuner remembers.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <future>
#include <iterator>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/prompt_groups.hpp>
#include <reward_tuner/advantages/history.hpp>
#include <reward_tuner/advantages/per_reward.hpp>
#include <reward_tuner/advantages/per_reward.hpp>
#include <reward_tuner/methods/b2_diffurl.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/dpo.hpp>
#include <reward_tuner/methods/dpok.hpp>
#include <reward_tuner/methods/grpo.hpp>
#include <reward_tuner/methods/lsrl.hpp>
#include <reward_tuner/methods/policy_gradient.hpp>
#include <reward_tuner/methods/reward_weighted.hpp>
#include <reward_tuner/models/denoising_errors.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/clamped.hpp>
#include <reward_tuner/rewards/weighted_sum.hpp>
#include <reward_tuner/samplers/any_sampler.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/ddpm.hpp>
#include <reward_tuner/step_selection/last_steps.hpp>
#include <reward_tuner/step_selection/random_horizon.hpp>
#include <reward_tuner/step_selection/random_steps.hpp>

#include <tests/reference/captioned_toy.hpp>
#include <tests/reference/tensor_lists.hpp>
#include <tests/reference/toy_pipeline.hpp>
#include <tests/reference/toy_reward.hpp>

namespace round_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

const std::vector<std::string> kPrompts = {"a red circle", "two blue squares", "a star", "a green moon"};

auto constant() {
  return black_box([](const Tensor& images) { return at::full({images.size(0)}, 0.3, images.options()); });
}
/// The deviation of a prompt's images: a reward of groups, 0 for a group of one.
struct Variety {
  using Role = RewardRole;
  static constexpr std::string_view kName = "variety";
  static constexpr bool kDifferentiable = false, kPerGroup = true;
  RewardResult score(const RewardInput& input) const {
    const Tensor means = input.images.mean({1, 2, 3});                                     // [N]
    const Tensor together = input.group_ids.unsqueeze(0) == input.group_ids.unsqueeze(1);  // bool [N,N]
    return {((means.unsqueeze(0) - means.unsqueeze(1)).abs() * together).sum(1)};          // [N]
  }
};

struct Tuned {
  std::vector<Tensor> parameters;
  UpdateReport report;
  TunerState state;
};

template <class Pipeline = ToyPipeline, class Tuner>
Tuned tune(Tuner tuner, ToyOptions toy = {}, int updates = 1, std::uint64_t seed = 5) {
  Pipeline pipeline(toy);
  pipeline.disturb(8, 0.05);
  AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-3});
  Rng rng(seed);
  tuner.plan(100);
  UpdateReport report;
  for (int i = 0; i < updates; ++i) report = tuner.update(pipeline, optimizer, kPrompts, rng);
  return {copies(pipeline.parameters()), report, tuner.state()};
}

}  // namespace
}  // namespace round_test

TEST_CASE("the first ratio is 1 within 1e-6 in float for every cut of batch and rows") {
  using namespace round_test;
  for (const int micro : {0, 1, 3})
    for (const int rows : {0, 1, 5, 64})
      for (const double guidance : {1.0, 5.0}) {
        const auto tuned =
            tune(make<DDPO>(black_box_brightness(), {.sampler = {.num_steps = 10, .guidance = guidance},
                                                     .objective = {.round = {.updates_per_epoch = 1, .rows = rows}},
                                                     .engine = {.micro_batch = micro}}),
                 {.side = 16, .width = 16, .dtype = at::kFloat});
        CHECK(tuned.report.ratio_deviation <= 1e-6);
        CHECK(tuned.report.warning.empty());
        CHECK(tuned.report.clip_fraction == 0);
        CHECK(tuned.report.optimizer_steps == 1);
      }
}

TEST_CASE("the first ratio's warning is relative to the clip range, absolute without one, or as the user says") {
  using namespace round_test;
  // the stored log-probabilities are off by `error`, as those of a rollout in another type are
  const auto warning = [](auto tuner, double error) {
    ToyPipeline pipeline;
    AdamW optimizer(pipeline.parameters());
    Rng rng(3);
    Round round = tuner.sample(pipeline, kPrompts, rng);
    for (const int k : round.transitions.steps()) round.transitions.log_prob(k).sub_(error);
    const UpdateReport report = tuner.train(pipeline, optimizer, std::move(round), rng);
    CHECK(report.ratio_deviation == doctest::Approx(error).epsilon(3e-2));
    return report.warning;
  };
  const auto ddpo = [](double clip, std::optional<double> tolerance = {}) {
    return make<DDPO>(black_box_brightness(), {.sampler = {.num_steps = 4},
                                               .objective = {.clip = clip, .round = {.ratio_tolerance = tolerance}}});
  };
  CHECK_FALSE(warning(ddpo(1e-4), 5e-4).empty());  // every row is outside the range before anything moved
  CHECK_FALSE(warning(ddpo(1e-4), 5e-5).empty());
  CHECK(warning(ddpo(1e-4), 5e-6).empty());
  CHECK(warning(ddpo(1e-1), 5e-3).empty());
  CHECK_FALSE(warning(ddpo(1e-1), 5e-2).empty());
  CHECK(warning(ddpo(1e-4, 1e-3), 5e-4).empty());
  CHECK_FALSE(warning(ddpo(1e-1, 1e-6), 1e-5).empty());
  const auto plain = [] { return make<PolicyGradient>(black_box_brightness(), {.sampler = {.num_steps = 4}}); };
  CHECK(warning(plain(), 5e-4).empty());
  CHECK(
      warning(plain(), 2e-3) ==
      "the first ratio of new to old probability should be 1 and is off by 0.002002: rollout and replay disagree "
      "(half precision of weights, rollout_dtype or autocast, kernels of a card for calls without gradient, or a model "
      "with dropout); objective.round.recompute_log_probs makes them agree");
  const auto dpok = make<DPOK>(black_box_brightness(), {.sampler = {.num_steps = 4}, .objective = {.clip = 1e-4}});
  CHECK_FALSE(warning(dpok, 5e-4).empty());
}

TEST_CASE("a round's result does not depend on how it is cut into network calls") {
  using namespace round_test;
  const auto tuner = [](int micro, int rows) {
    return make<DDPO, KlToReference>(
        black_box_brightness(),
        {.sampler = {.num_steps = 6, .guidance = 3.0},
         .objective = {.round = {.samples_per_prompt = 2, .updates_per_epoch = 2, .rows = rows}},
         .regularizer = {.weight = 0.3},
         .engine = {.micro_batch = micro, .decode_batch = micro}});
  };
  const auto whole = tune(tuner(0, 0), {}, 2);
  for (const auto& [micro, rows] : std::vector<std::pair<int, int>>{{1, 1}, {3, 7}, {0, 1000}}) {
    const auto cut = tune(tuner(micro, rows), {}, 2);
    CHECK(distance(cut.parameters, whole.parameters) < 1e-12);
    CHECK(cut.report.loss == doctest::Approx(whole.report.loss).epsilon(1e-9));
    CHECK(cut.report.forward_samples == whole.report.forward_samples);
  }
}

TEST_CASE("nor does that of reward-weighted rounds, whose noise levels are drawn in training") {
  using namespace round_test;
  const auto tuner = [](int micro, int rows, bool frozen) {
    return make<RewardWeightedTraining>(
        black_box_brightness(),
        {.sampler = {.num_steps = 4, .guidance = 3.0},
         .objective = {.frozen = frozen, .noisings = 3, .round = {.epochs = 2, .updates_per_epoch = 2, .rows = rows}},
         .engine = {.micro_batch = micro}});
  };
  const ToyOptions odd{.side = 3};  // 18 numbers a latent: no multiple of what a vectorized generator fills at once
  for (const bool frozen : {true, false}) {
    const auto whole = tune(tuner(0, 0, frozen), odd, 2);
    for (const auto& [micro, rows] : std::vector<std::pair<int, int>>{{1, 1}, {3, 5}, {0, 1000}}) {
      const auto cut = tune(tuner(micro, rows, frozen), odd, 2);
      CHECK(distance(cut.parameters, whole.parameters) < 1e-12);
      CHECK(cut.report.loss == doctest::Approx(whole.report.loss).epsilon(1e-9));
      CHECK(cut.report.backward_samples == whole.report.backward_samples);
    }
  }
}

TEST_CASE("network calls are those on paper, and a window costs n/T of them") {
  using namespace round_test;
  const int T = 8, B = 4;
  const auto ddpo = tune(make<DDPO, Ddim>(black_box_brightness(), {.sampler = {.num_steps = T, .guidance = 3.0},
                                                                   .objective = {.round = {.epochs = 2}}}))
                        .report;
  CHECK(ddpo.images == B);
  CHECK(ddpo.kept == B);
  CHECK(ddpo.forward_samples == B * T + 2 * B * T);  // sampled once, trained in two passes
  CHECK(ddpo.backward_samples == 2 * B * T);
  const auto ddpm =
      tune(make<DDPO, Ddpm>(black_box_brightness(), {.sampler = {.num_steps = T, .guidance = 3.0}})).report;
  CHECK(ddpm.backward_samples == B * (T - 1));  // the last step of DDPM has no noise, hence no density
  const auto some =
      tune(make<DDPO, RandomSteps>(black_box_brightness(), {.sampler = {.num_steps = T}, .steps = {.num_trained = 3}}))
          .report;
  CHECK(some.backward_samples == B * 3);

  const int branches = 3, n = 3;
  const auto b2 =
      tune(make<B2DiffuRL>(black_box_brightness(), {.sampler = {.num_steps = T, .guidance = 3.0},
                                                    .steps = {.initial = n},
                                                    .branching = {.num_branches = branches, .threshold = 0.5}}))
          .report;
  CHECK(b2.images == B * branches);
  // prefixes once a root, then all branches, then the kept ones
  CHECK(b2.forward_samples == B * (T - n) + B * branches * n + b2.kept * n);
  CHECK(b2.backward_samples == b2.kept * n);
  CHECK(b2.kept > 0);
  CHECK(b2.kept <= 2 * B);
}

TEST_CASE("where images of a prompt are compared there is more than one of each") {
  using namespace round_test;
  const int B = 4;
  const auto variety = tune(make<DDPO>(Variety(), {.sampler = {.num_steps = 2}})).report;
  CHECK(variety.images == 8 * B);
  CHECK(variety.reward > 0);
  CHECK(variety.gradient_norm > 0);
  CHECK(tune(make<RewardWeightedTraining>(Variety(), {.sampler = {.num_steps = 2}})).report.images == 8 * B);
  CHECK(tune(make<DDPO>(Variety(), {.sampler = {.num_steps = 2}, .objective = {.round = {.samples_per_prompt = 3}}}))
            .report.images == 3 * B);
  CHECK(tune(make<B2DiffuRL>(Variety(),
                             {.sampler = {.num_steps = 4}, .steps = {.initial = 2}, .branching = {.num_branches = 3}}))
            .report.images == 3 * B);
  CHECK(tune(make<GRPO>(black_box_brightness(), {.sampler = {.num_steps = 2}})).report.images == 8 * B);
  CHECK(tune(make<DPO>(black_box_brightness(), {.sampler = {.num_steps = 2}, .branching = {.num_branches = 2}}))
            .report.images == 2 * B);
}

TEST_CASE("a reward of groups is one through AnyReward too: its images, its groups, whole whatever the chunk") {
  using namespace round_test;
  const auto run = [](auto reward, int decode) {
    return tune(make<DDPO>(reward, {.sampler = {.num_steps = 3}, .engine = {.micro_batch = 3, .decode_batch = decode}}),
                {}, 2);
  };
  const auto plain = run(Variety(), 0);
  CHECK(plain.report.images == 8 * static_cast<std::int64_t>(kPrompts.size()));
  for (const int decode : {0, 1, 5}) {
    const auto held = run(AnyReward(Variety()), decode);
    CHECK(held.report.images == plain.report.images);
    CHECK(held.report.reward == doctest::Approx(plain.report.reward).epsilon(1e-12));
    CHECK(distance(held.parameters, plain.parameters) < 1e-12);
    const auto deep = run(clamped(weighted_sum({weighted(1.0, AnyReward(Variety()))}), -9, 9), decode);
    CHECK(distance(deep.parameters, plain.parameters) < 1e-12);
  }
}

TEST_CASE("a prompt that stands in a batch several times is one group: in advantages, weights and rewards of groups") {
  using namespace round_test;
  const std::vector<std::string> spread = {"a star", "a moon", "a star", "a fish", "a moon", "a star"};
  const auto sampled = [&](auto tuner) {
    ToyPipeline pipeline;
    Rng rng(4);
    tuner.plan(100);
    return tuner.sample(pipeline, spread, rng);
  };
  // one image of each place in the list: alone, no image would have another to be compared with
  const Round grpo = sampled(make<GRPO>(
      black_box_brightness(), {.sampler = {.num_steps = 3}, .objective = {.round = {.samples_per_prompt = 1}}}));
  REQUIRE(grpo.weights.size() == 6);
  const auto sum_of = [&](const std::string& prompt) {
    double sum = 0, size = 0;
    for (std::size_t i = 0; i < 6; ++i)
      if (spread[i] == prompt) sum += grpo.weights[i], size += std::abs(grpo.weights[i]);
    return std::pair(sum, size);
  };
  CHECK((std::abs(sum_of("a star").first) < 1e-12 && sum_of("a star").second > 1));
  CHECK((std::abs(sum_of("a moon").first) < 1e-12 && sum_of("a moon").second > 1));
  CHECK(sum_of("a fish").second == 0);

  const Round best = sampled(make<RewardWeightedTraining>(
      black_box_brightness(),
      {.sampler = {.num_steps = 3},
       .objective = {.weighting = RewardWeighting::kBest, .round = {.samples_per_prompt = 2}}}));
  CHECK(best.report.kept == 3);  // one of each prompt, not of each place

  std::vector<std::int64_t> seen;
  struct Watching : Variety {
    std::vector<std::int64_t>* seen;
    RewardResult score(const RewardInput& input) const {
      seen->assign(input.group_ids.const_data_ptr<std::int64_t>(),
                   input.group_ids.const_data_ptr<std::int64_t>() + input.group_ids.numel());
      return Variety::score(input);
    }
  };
  sampled(make<B2DiffuRL>(Watching{{}, &seen},
                          {.sampler = {.num_steps = 3}, .steps = {.initial = 2}, .branching = {.num_branches = 2}}));
  CHECK(seen == std::vector<std::int64_t>{0, 0, 1, 1, 0, 0, 2, 2, 1, 1, 0, 0});
}

TEST_CASE("a reward in another unit teaches the same") {
  using namespace round_test;
  const auto in_units = [](double unit) {
    return black_box([unit](const Tensor& images) { return unit * images.mean({1, 2, 3}); });
  };
  const auto check = [&](const auto& tuner) {
    const auto plain = tune(tuner(in_units(1)), {}, 3);
    CHECK(plain.report.kept > 0);
    for (const double unit : {1e-3, 1e3})
      CHECK(distance(tune(tuner(in_units(unit)), {}, 3).parameters, plain.parameters) < 1e-9);
  };
  check([](auto r) { return make<DDPO>(r, {.sampler = {.num_steps = 4}, .advantage = {.min_count = 2}}); });
  check([](auto r) { return make<DDPO, PerBatch>(r, {.sampler = {.num_steps = 4}}); });
  check([](auto r) { return make<GRPO>(r, {.sampler = {.num_steps = 4}}); });
  check(
      [](auto r) { return make<GRPO>(r, {.sampler = {.num_steps = 4}, .advantage = {.scale = GroupScale::kBatch}}); });
  check([](auto r) { return make<DPOK>(r, {.sampler = {.num_steps = 4}}); });
  check([](auto r) { return make<DPO>(r, {.sampler = {.num_steps = 4}}); });
  check([](auto r) { return make<B2DiffuRL>(r, {.sampler = {.num_steps = 4}, .steps = {.initial = 2}}); });
  check([](auto r) { return make<RewardWeightedTraining>(r, {.sampler = {.num_steps = 4}}); });
}

TEST_CASE("branches of a root share their prefix bit for bit and differ after the fork") {
  using namespace round_test;
  ToyPipeline pipeline({.dtype = at::kFloat});
  auto tuner = make<B2DiffuRL>(
      black_box_brightness(),
      {.sampler = {.num_steps = 6}, .steps = {.initial = 2}, .branching = {.num_branches = 4, .threshold = 0}});
  tuner.plan(100);
  Rng rng(1);
  const Round round = tuner.sample(pipeline, {"a star"}, rng);
  REQUIRE(round.transitions.size() >= 1);
  REQUIRE(round.transitions.steps() == std::vector<int>{4, 5});
  const SamplerSchedule schedule = tuner.sampler().schedule(pipeline.noise_schedule());
  NetworkCounts counts;
  const RolloutSetup setup =
      sampling_setup(schedule, pipeline.encode({"a star", "a moon"}), 7.5).with(round.report.plan);
  const auto all = sample_transitions(pipeline, setup, SampleNoise({11, 12}), {.branches = 4}, counts);
  REQUIRE(all.size() == 8);
  for (const std::int64_t root : {0, 4})
    for (std::int64_t branch = 1; branch < 4; ++branch) {
      CHECK(all.latent(4)[root].equal(all.latent(4)[root + branch]));
      CHECK_FALSE(all.latent(5)[root].equal(all.latent(5)[root + branch]));
      CHECK_FALSE(all.clean[root].equal(all.clean[root + branch]));
    }
  CHECK_FALSE(all.latent(4)[0].equal(all.latent(4)[4]));
}

TEST_CASE("a sampler without noise is a named error") {
  using namespace round_test;
  ToyPipeline pipeline;
  AdamW optimizer(pipeline.parameters());
  Rng rng(1);
  auto tuner = make<DDPO, Ddim>(black_box_brightness(), {.sampler = {.num_steps = 5, .eta = 0.0}});
  CHECK_THROWS_WITH_AS(tuner.update(pipeline, optimizer, kPrompts, rng),
                       doctest::Contains("clipped_ratio needs a sampler with log_prob: Ddpm, EulerAncestral, Ddim with "
                                         "eta > 0 or DpmSolver with noise; got no noise"),
                       Error);
  CHECK(make<DDPO, Ddim>(black_box_brightness()).options().sampler.eta == 1.0);  // unset: noise
}

TEST_CASE("solvers with noise and order 1 are trained by log-probabilities; order 2 and no noise are named errors") {
  using namespace round_test;
  const auto trained = [&](auto tuner) {
    const auto tuned = tune(std::move(tuner), {.schedule = {.prediction = PredictionType::kVPrediction}});
    CHECK(std::isfinite(tuned.report.loss));
    CHECK(tuned.report.ratio_deviation < 1e-10);
    CHECK(tuned.report.optimizer_steps > 0);
  };
  trained(make<DDPO, EulerAncestral>(black_box_brightness(), {.sampler = {.num_steps = 5}}));
  trained(make<DDPO, DpmSolver>(black_box_brightness(), {.sampler = {.num_steps = 5}}));
  trained(make<DDPO, AnySampler>(black_box_brightness(), {.sampler = {.name = "sde-dpm++", .num_steps = 5}}));
  const auto refused = [&](auto tuner, const char* sentence) {
    ToyPipeline pipeline;
    AdamW optimizer(pipeline.parameters());
    Rng rng(1);
    CHECK_THROWS_WITH_AS(tuner.update(pipeline, optimizer, kPrompts, rng), doctest::Contains(sentence), Error);
    CHECK(pipeline.calls == 0);
  };
  refused(make<DDPO, DpmSolver>(black_box_brightness(), {.sampler = {.num_steps = 5, .order = 2}}),
          "expected DpmSolver with order 1, got a step of order 2 that continues with the step before: 1");
  refused(make<DDPO, DpmSolver>(black_box_brightness(), {.sampler = {.num_steps = 5, .noise = false}}), "got no noise");
  refused(make<DDPO, AnySampler>(black_box_brightness(), {.sampler = {.name = "euler", .num_steps = 5}}),
          "got no noise");
}

TEST_CASE("engine options that only direct gradients have are refused") {
  using namespace round_test;
  CHECK_THROWS_WITH_AS(make<DDPO>(black_box_brightness(), {.engine = {.memory = Memory::kRetain}}),
                       doctest::Contains("engine.memory and engine.replay_batch cannot be combined with clipped_ratio"),
                       Error);
  CHECK_THROWS_WITH_AS(make<DPO>(black_box_brightness(), {.engine = {.replay_batch = 2}}),
                       doctest::Contains("cannot be combined with preference"), Error);
}

TEST_CASE("steps without noise are left out where others have some, and a named error where none has") {
  using namespace round_test;
  const int T = 5, B = 4;
  // DDIM to the very end: the level after the last step is clean, so that step has no noise whatever eta is
  const auto clean =
      tune(make<DDPO>(black_box_brightness(), {.sampler = {.num_steps = T}}), {.schedule = {.final_alpha_one = true}})
          .report;
  CHECK(clean.backward_samples == B * (T - 1));
  CHECK(clean.plan.trained.size() == T);
  CHECK(std::isfinite(clean.loss));
  CHECK(clean.ratio_deviation < 1e-10);
  const auto last = tune(make<DDPO, Ddpm, LastSteps>(black_box_brightness(),
                                                     {.sampler = {.num_steps = T}, .steps = {.num_trained = 2}}))
                        .report;
  CHECK(last.backward_samples == B);
  const auto check = [&](auto tuner, const NoiseScheduleConfig& schedule) {
    ToyPipeline pipeline({.schedule = schedule});
    AdamW optimizer(pipeline.parameters());
    const auto before = copies(pipeline.parameters());
    tuner.plan(100);
    Rng rng(1);
    CHECK_THROWS_WITH_AS(tuner.update(pipeline, optimizer, kPrompts, rng),
                         doctest::Contains("needs a sampler with log_prob: Ddpm, EulerAncestral, Ddim with eta > 0 or "
                                           "DpmSolver with noise; got no noise in any of the trained steps"),
                         Error);
    CHECK(bit_equal(pipeline.parameters(), before));
    CHECK(pipeline.calls == 0);
  };
  check(make<DDPO, Ddpm, LastSteps>(black_box_brightness(), {.sampler = {.num_steps = T}, .steps = {.num_trained = 1}}),
        {});
  check(make<B2DiffuRL, Ddpm>(black_box_brightness(), {.sampler = {.num_steps = T}, .steps = {.initial = 1}}), {});
  check(make<DDPO, LastSteps>(black_box_brightness(), {.sampler = {.num_steps = T}, .steps = {.num_trained = 1}}),
        {.final_alpha_one = true});
  check(make<DPO, Ddim>(black_box_brightness(), {.sampler = {.num_steps = T, .eta = 0.0}}), {});
}

TEST_CASE("random step selections never draw steps without noise alone") {
  using namespace round_test;
  const auto check = [](auto fresh, const NoiseScheduleConfig& schedule) {
    for (const std::uint64_t seed : {1, 2, 3}) CHECK_NOTHROW(tune(fresh(), {.schedule = schedule}, 20, seed));
  };
  const auto brightness = black_box_brightness();
  check(
      [&] {
        return make<DDPO, Ddpm, RandomSteps>(brightness, {.sampler = {.num_steps = 3}, .steps = {.num_trained = 1}});
      },
      {});
  check([&] { return make<DDPO, RandomSteps>(brightness, {.sampler = {.num_steps = 3}, .steps = {.num_trained = 1}}); },
        {.final_alpha_one = true});
  check([&] { return make<DDPO, Ddpm, RandomSteps>(brightness, {.sampler = {.num_steps = 3}}); }, {});
  check([&] { return make<DDPO, Ddpm, RandomHorizon>(brightness, {.sampler = {.num_steps = 3}}); }, {});
  check(
      [&] {
        return make<DDPO, Ddpm, SpreadSteps>(
            brightness, {.sampler = {.num_steps = 3}, .steps = {.num_trained = 1, .max_early_stop = 0}});
      },
      {});
  // as many as there are are all trained; more than have noise are an error of the first update, whatever is drawn
  CHECK(tune(make<DDPO, Ddpm, RandomSteps>(brightness, {.sampler = {.num_steps = 4}, .steps = {.num_trained = 3}}))
            .report.plan.trained == std::vector<int>{0, 1, 2});
  CHECK_THROWS_WITH_AS(
      tune(make<DDPO, Ddpm, RandomSteps>(brightness, {.sampler = {.num_steps = 4}, .steps = {.num_trained = 4}})),
      "[RandomSteps] num_trained must be at most 3, of the sampler's 4 steps those with noise, got 4", Error);
}

TEST_CASE("equal rewards teach nothing: no step, no NaN, nothing moves") {
  using namespace round_test;
  const auto check = [](auto tuner) {
    ToyPipeline pipeline;
    AdamW optimizer(pipeline.parameters(), {.weight_decay = 0.1});
    const auto before = copies(pipeline.parameters());
    tuner.plan(100);
    Rng rng(1);
    const UpdateReport report = tuner.update(pipeline, optimizer, kPrompts, rng);
    CHECK_FALSE(report.skipped);
    CHECK(report.kept == 0);
    CHECK(report.groups == 4);
    CHECK(report.idle_groups == 4);
    CHECK(report.idle_reason == "all " + std::to_string(report.images) + " rewards are equal (0.300000)");
    CHECK(report.warning.empty());
    CHECK(report.optimizer_steps == 0);
    CHECK(report.reward == doctest::Approx(0.3));
    CHECK(std::isfinite(report.loss));
    CHECK(bit_equal(pipeline.parameters(), before));
  };
  check(make<DDPO>(constant(), {.sampler = {.num_steps = 4}}));
  check(make<GRPO>(constant(), {.sampler = {.num_steps = 4}}));
  check(make<DPO>(constant(), {.sampler = {.num_steps = 4}}));
  check(make<B2DiffuRL>(constant(), {.sampler = {.num_steps = 4}}));
  check(make<DPOK>(constant(), {.sampler = {.num_steps = 4}}));
}

TEST_CASE("groups that teach nothing are counted") {
  using namespace round_test;
  // the images of the first two prompts score alike
  const auto half = black_box([](const Tensor& images) {
    const Tensor values = images.mean({1, 2, 3});  // [32]
    return at::cat({at::full({16}, 0.3, values.options()), values.narrow(0, 16, 16)});
  });
  const auto grpo = tune(make<GRPO>(half, {.sampler = {.num_steps = 2}})).report;
  CHECK(grpo.images == 32);
  CHECK(grpo.groups == 4);
  CHECK(grpo.idle_groups == 2);
  CHECK(grpo.warning.empty());
  const auto all = tune(make<GRPO>(black_box_brightness(), {.sampler = {.num_steps = 2}})).report;
  CHECK(all.groups == 4);
  CHECK(all.idle_groups == 0);
  // the group of the worst image, which weighs 0, is that image alone
  const auto weighted =
      tune(make<RewardWeightedTraining>(black_box_brightness(), {.sampler = {.num_steps = 2}})).report;
  CHECK(weighted.groups == 4);
  CHECK(weighted.idle_groups == 1);
}

TEST_CASE("the share of groups with equal rewards is reported; groups of one image are none") {
  using namespace round_test;
  CHECK(zero_std_ratio({1, 1, 2, 3, 4, 4}, {0, 0, 1, 1, 2, 2}) == doctest::Approx(2.0 / 3));
  CHECK(zero_std_ratio({1, 2, 1, 2}, {0, 1, 0, 1}) == 1);  // not beside each other
  CHECK(zero_std_ratio({1, 1, 5}, {0, 1, 2}) == 0);
  CHECK(zero_std_ratio({1, 2, 2, 7}, {0, 0, 0, 1}) == 0);
  CHECK(zero_std_ratio({}, {}) == 0);
  const auto half = black_box([](const Tensor& images) {
    const Tensor values = images.mean({1, 2, 3});  // [32]
    return at::cat({at::full({8}, 0.3, values.options()), values.narrow(0, 8, 24)});
  });
  CHECK(tune(make<GRPO>(half, {.sampler = {.num_steps = 2}})).report.zero_std_ratio == 0.25);
  RewardWeightedOptions of_groups;
  of_groups.round.samples_per_prompt = 8;
  CHECK(tune(make<RewardWeightedTraining>(half, {.sampler = {.num_steps = 2}, .objective = of_groups}))
            .report.zero_std_ratio == 0.25);
}

TEST_CASE("under PerReward each part of a weighted sum teaches by its weight, and reports hold its mean as before") {
  using namespace round_test;
  // of a large unit the sum is the second part alone
  const auto sum = [&](double unit) {
    return weighted_sum(
        weighted(1.0, black_box_brightness()),
        weighted(0.5, black_box([unit](const Tensor& images) { return unit * images.std({1, 2, 3}); })));
  };
  const auto tuned = [&](double unit) { return tune(make<DDPO, PerReward>(sum(unit), {.sampler = {.num_steps = 2}})); };
  const Tuned plain = tuned(1), large = tuned(1e6);
  CHECK(plain.report.images == 32);
  CHECK(plain.report.components.size() == 2);
  CHECK(large.report.reward == doctest::Approx(large.report.components.begin()->second +
                                               0.5 * std::next(large.report.components.begin())->second));
  CHECK(distance(large.parameters, plain.parameters) < 1e-9);
  const auto alone = tune(make<GRPO>(sum(1), {.sampler = {.num_steps = 2}}));
  CHECK(distance(alone.parameters, plain.parameters) > 1e-6);
}

TEST_CASE("rewards are remembered once their round was trained: not if it is dropped, throws or fails before a step") {
  using namespace round_test;
  const auto check = [](auto fresh, std::size_t copies) {
    ToyPipeline pipeline;
    AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-3});
    Rng rng(5);
    auto tuner = fresh();
    tuner.update(pipeline, optimizer, kPrompts, rng);
    const RewardHistory before = tuner.state().history;
    REQUIRE_FALSE(before.rounds.empty());
    tuner.sample(pipeline, kPrompts, rng);  // dropped
    CHECK(tuner.state().history == before);
    {
      Round broken = tuner.sample(pipeline, kPrompts, rng);
      broken.transitions.log_prob(1) = Tensor();  // the training throws
      CHECK_THROWS(tuner.train(pipeline, optimizer, std::move(broken), rng));
      CHECK(tuner.state().history == before);
    }
    bool fails = true;
    pipeline.parameters()[4].register_hook(
        [&](const Tensor& g) { return fails ? g * std::numeric_limits<double>::infinity() : g; });
    CHECK(tuner.update(pipeline, optimizer, kPrompts, rng).skipped);
    CHECK(tuner.state().history == before);
    fails = false;
    // two rounds sampled before either is trained are both remembered, in the order of their training
    Round one = tuner.sample(pipeline, kPrompts, rng), two = tuner.sample(pipeline, {"a star"}, rng);
    const RewardHistory between = [&] {
      tuner.train(pipeline, optimizer, std::move(two), rng);
      return tuner.state().history;
    }();
    CHECK_FALSE(between == before);
    tuner.train(pipeline, optimizer, std::move(one), rng);
    for (const std::string& prompt : kPrompts) {
      std::size_t rewards = 0;
      for (const auto& round : tuner.state().history.rounds.at(prompt)) rewards += round.size();
      CHECK(rewards == copies * (prompt == "a star" ? 3 : 2));
    }
  };
  check([] { return make<DDPO>(black_box_brightness(), {.sampler = {.num_steps = 4}}); }, 1);
  check(
      [] {
        return make<DDPO, History>(black_box_brightness(),
                                   {.sampler = {.num_steps = 4}, .objective = {.round = {.samples_per_prompt = 3}}});
      },
      3);
}

TEST_CASE(
    "a gradient that is not finite ends a round: the optimizer steps before it stay made, and the error says so") {
  using namespace round_test;
  ToyPipeline pipeline;
  AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-3});
  const auto before = copies(pipeline.parameters());
  int backward = 0;
  pipeline.parameters()[4].register_hook(
      [&](const Tensor& g) { return ++backward > 6 ? g * std::numeric_limits<double>::infinity() : g; });
  auto tuner = make<DDPO>(black_box_brightness(), {.sampler = {.num_steps = 6},
                                                   .objective = {.round = {.updates_per_epoch = 2, .rows = 2}},
                                                   .engine = {.max_skipped_in_a_row = 2}});
  Rng rng(1);
  const auto report = tuner.update(pipeline, optimizer, kPrompts, rng);
  CHECK(report.skipped);
  CHECK(report.skip_reason ==
        "the gradient of the parameters is not finite at optimizer step 2 of the round; the ones before were made");
  CHECK(distance(pipeline.parameters(), before) > 0);
  CHECK_THROWS_WITH_AS(tuner.update(pipeline, optimizer, kPrompts, rng),
                       "[RewardTuner] 2 updates in a row were skipped because the gradient of the parameters is not "
                       "finite; optimizer steps that a round had made before stay made",
                       Error);
}

TEST_CASE("a reward that is not finite skips the update, and nothing moves") {
  using namespace round_test;
  ToyPipeline pipeline;
  AdamW optimizer(pipeline.parameters());
  const auto before = copies(pipeline.parameters());
  Rng rng(1);
  auto tuner = make<DDPO>(
      black_box([](const Tensor& images) { return images.mean({1, 2, 3}) * std::numeric_limits<double>::quiet_NaN(); }),
      {.sampler = {.num_steps = 4}});
  const UpdateReport report = tuner.update(pipeline, optimizer, kPrompts, rng);
  CHECK(report.skipped);
  CHECK(report.skip_reason == "the reward is not finite");
  CHECK(tuner.state().skipped == 1);
  CHECK(bit_equal(pipeline.parameters(), before));
}

TEST_CASE("step weights multiply the loss of every row of a step, and leave the advantages and ratios") {
  using namespace round_test;
  const auto report = [](StepWeights weights, bool apart) {
    return tune(make<DDPO>(black_box_brightness(), {.sampler = {.num_steps = 6},
                                                    .steps = {.skip_last = 1},
                                                    .objective = {.round = {.updates_per_epoch = apart ? 0 : 1,
                                                                            .step_per_timestep = apart,
                                                                            .step_weights = weights}}}))
        .report;
  };
  const SamplerSchedule schedule = Ddim({.num_steps = 6, .eta = 1}).schedule(ToyPipeline().noise_schedule());
  const std::vector<int> steps = {0, 1, 2, 3, 4};
  CHECK(RoundOptions().step_weights == StepWeights::kNoise);
  const UpdateReport plain = report(StepWeights::kEqual, false);
  REQUIRE(plain.steps.size() == steps.size());
  for (const StepWeights kind : {StepWeights::kNoise, StepWeights::kNoiseSquared}) {
    const std::vector<double> expected = step_weights(schedule, steps, kind);
    const UpdateReport weighted = report(kind, false);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      CHECK(weighted.steps[i].cotangent_norm == doctest::Approx(expected[i] * plain.steps[i].cotangent_norm));
      CHECK(weighted.steps[i].rows == plain.steps[i].rows);
    }
    // the weight of a step does not depend on the others of its optimizer step
    CHECK(report(kind, true).steps[0].cotangent_norm ==
          doctest::Approx(expected[0] * report(StepWeights::kEqual, true).steps[0].cotangent_norm));
  }
}

TEST_CASE("several passes and steps move the ratio, and the clip range counts") {
  using namespace round_test;
  const auto report = tune(make<DDPO>(black_box_brightness(),
                                      {.sampler = {.num_steps = 6},
                                       .objective = {.clip = 1e-6, .round = {.epochs = 3, .updates_per_epoch = 2}}}))
                          .report;
  CHECK(report.optimizer_steps == 6);
  CHECK(report.ratio_deviation < 1e-10);  // of the first step alone
  CHECK(report.log_prob_difference <= report.largest_log_prob_difference);
  CHECK(report.largest_log_prob_difference < 1e-10);
  CHECK(report.clip_fraction > 0.3);
  CHECK(report.clip_fraction == doctest::Approx(report.clip_fraction_low + report.clip_fraction_high).epsilon(1e-12));
  CHECK(report.clip_fraction_low > 0);
  CHECK(report.clip_fraction_high > 0);
  CHECK(report.policy_change > 0);
  CHECK(report.ratio_mean != 1);
  CHECK(report.ratio_std > 0);
  const auto one_step = tune(make<DDPO>(black_box_brightness(), {.sampler = {.num_steps = 6},
                                                                 .objective = {.round = {.updates_per_epoch = 1}}}))
                            .report;
  CHECK(one_step.ratio_mean == doctest::Approx(1).epsilon(1e-10));
  CHECK(one_step.ratio_std < 1e-10);
  const auto half = tune(make<DDPO>(black_box_brightness(),
                                    {.sampler = {.num_steps = 6}, .objective = {.round = {.updates_per_epoch = 1}}}),
                         {.dtype = at::kFloat})
                        .report;  // rollout and training cut their sums differently
  CHECK(half.largest_log_prob_difference >= half.log_prob_difference);
  CHECK(half.largest_log_prob_difference == doctest::Approx(half.ratio_deviation).epsilon(1e-3));
  const auto steps =
      tune(make<DDPO, RandomSteps>(black_box_brightness(), {.sampler = {.num_steps = 6},
                                                            .steps = {.num_trained = 3},
                                                            .objective = {.round = {.step_per_timestep = true}}}))
          .report;
  CHECK(steps.optimizer_steps == 3);
}

TEST_CASE("a round reports each trained step: together they give the round's numbers") {
  using namespace round_test;
  const auto report =
      tune(make<DDPO, Ddpm>(black_box_brightness(),
                            {.sampler = {.num_steps = 6},
                             .objective = {.clip = 1e-5, .round = {.epochs = 3, .updates_per_epoch = 2}}}))
          .report;
  REQUIRE(report.steps.size() == 5);  // the last step of DDPM has no noise
  double clipped = 0, change = 0;
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < report.steps.size(); ++i) {
    const StepReport& step = report.steps[i];
    CHECK(step.step == static_cast<int>(i));
    CHECK(step.rows == 3 * report.kept);
    CHECK(step.cotangent_norm > 0);
    clipped += step.clip_fraction * static_cast<double>(step.rows);
    change += step.policy_change * static_cast<double>(step.rows);
    rows += step.rows;
  }
  CHECK(report.clip_fraction == doctest::Approx(clipped / static_cast<double>(rows)).epsilon(1e-12));
  CHECK(report.policy_change == doctest::Approx(change / static_cast<double>(rows)).epsilon(1e-12));
  CHECK(report.steps.front().policy_change != report.steps.back().policy_change);
}

TEST_CASE("methods take their papers' optimizer steps by themselves: several a round, so that the clip range can act") {
  using namespace round_test;
  const DdimOptions sampler{.num_steps = 6};
  CHECK(tune(make<DDPO>(black_box_brightness(), {.sampler = sampler})).report.optimizer_steps == 4);
  CHECK(
      tune(make<DPOK>(black_box_brightness(), {.sampler = sampler, .objective = {.round = {.samples_per_prompt = 2}}}))
          .report.optimizer_steps == 5);
  CHECK(tune(make<PolicyGradient>(black_box_brightness(), {.sampler = sampler})).report.optimizer_steps == 1);
  // large-scale RL: one for each trained timestep
  CHECK(tune<CaptionedToy>(make<LSRL>(black_box_brightness(), {.sampler = sampler, .steps = {.num_trained = 3}}))
            .report.optimizer_steps == 3);
  CHECK(tune<CaptionedToy>(make<LSRL>(black_box_brightness(), {.sampler = sampler,
                                                               .steps = {.num_trained = 3},
                                                               .objective = {.round = {.updates_per_epoch = 2}}}))
            .report.optimizer_steps == 2);
}

TEST_CASE("a clip range in nats is that number over the latent's size, and the default is 1.64 nats") {
  using namespace round_test;
  for (const std::int64_t side : {4, 3}) {
    const auto tuned = [&](auto made) { return tune(made, {.side = side}, 3); };
    const DdimOptions sampler{.num_steps = 5};
    const RoundOptions round{.epochs = 3}, sum{.epochs = 3, .reduction = LogProbReduction::kSum};
    const auto ddpo = [&](ClippedRatioOptions objective) {
      return tuned(make<DDPO>(black_box_brightness(), {.sampler = sampler, .objective = objective}));
    };
    const auto dpok = [&](KlRegularizedOptions objective) {
      return tuned(make<DPOK>(black_box_brightness(), {.sampler = sampler, .objective = objective}));
    };
    const double numbers = 2.0 * static_cast<double>(side * side);
    for (const double nats : {0.02, 1.64}) {
      const auto wanted = ddpo({.clip = nats / numbers, .round = round});
      CHECK(bit_equal(ddpo({.clip_nats = nats, .round = round}).parameters, wanted.parameters));
      CHECK(ddpo({.clip_nats = nats, .round = round}).report.clip_fraction == wanted.report.clip_fraction);
      CHECK(bit_equal(dpok({.clip_nats = nats, .round = round}).parameters,
                      dpok({.clip = nats / numbers, .round = round}).parameters));
      CHECK(bit_equal(ddpo({.clip_nats = nats, .round = sum}).parameters,
                      ddpo({.clip = 1 - std::exp(-nats), .round = sum}).parameters));
    }
    CHECK(ddpo({.clip_nats = 0.02, .round = round}).report.clip_fraction > 0);
    CHECK(bit_equal(ddpo({.round = round}).parameters, ddpo({.clip_nats = 1.64, .round = round}).parameters));
  }
  // one tuner, two models: the range follows the latents
  auto tuner = make<DDPO>(black_box_brightness(), {.sampler = {.num_steps = 5}, .objective = {.clip_nats = 0.02}});
  for (const std::int64_t side : {4, 8}) {
    ToyPipeline mine({.side = side}), same({.side = side});
    AdamW one(mine.parameters(), {.learning_rate = 1e-3}), two(same.parameters(), {.learning_rate = 1e-3});
    auto fixed = make<DDPO>(
        black_box_brightness(),
        {.sampler = {.num_steps = 5}, .objective = {.clip = 0.02 / (2.0 * static_cast<double>(side * side))}});
    fixed.load_state(tuner.state());
    Rng rng(1), other(1);
    tuner.update(mine, one, kPrompts, rng);
    fixed.update(same, two, kPrompts, other);
    CHECK(bit_equal(mine.parameters(), same.parameters()));
  }
}

TEST_CASE("DPOK learns a baseline; with branches it does not unless it is told to") {
  using namespace round_test;
  const auto learned = [](auto tuner) { return !tune(tuner).state.tensors.empty(); };
  const DdimOptions sampler{.num_steps = 4};
  CHECK(learned(make<DPOK>(black_box_brightness(), {.sampler = sampler})));
  CHECK_FALSE(
      learned(make<DPOK>(black_box_brightness(), {.sampler = sampler, .objective = {.value = {.enabled = false}}})));
  const BackwardWindowOptions window{.initial = 2};
  CHECK_FALSE(learned(make<B2DiffuRL, KlRegularized>(black_box_brightness(), {.sampler = sampler, .steps = window})));
  CHECK(learned(make<B2DiffuRL, KlRegularized>(
      black_box_brightness(), {.sampler = sampler, .steps = window, .objective = {.value = {.enabled = true}}})));
}

TEST_CASE("the gradient is clipped to the method's norm unless told: 1 of samples, 0.1 of the reward's own gradient") {
  using namespace round_test;
  CHECK(make<DDPO>(black_box_brightness()).options().engine.gradient_clip == 1);
  CHECK(make<RewardWeightedTraining>(black_box_brightness()).options().engine.gradient_clip == 1);
  CHECK(make<DDPO>(black_box_brightness(), {.engine = {.gradient_clip = 0.3}}).options().engine.gradient_clip == 0.3);
}

TEST_CASE("what a tuner remembers decides its next round: a state put into a fresh tuner continues bit for bit") {
  using namespace round_test;
  const auto check = [](auto fresh) {
    const auto run = [&](bool interrupted) {
      ToyPipeline pipeline;
      AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-3});
      Rng rng(3);
      auto tuner = fresh();
      for (int i = 0; i < 4; ++i) {
        if (interrupted && i == 2) {
          auto other = fresh();
          other.load_state(tuner.state());
          CHECK(other.state() == tuner.state());
          tuner = other;
        }
        tuner.update(pipeline, optimizer, kPrompts, rng);
      }
      return std::pair(copies(pipeline.parameters()), tuner.state());
    };
    const auto whole = run(false), resumed = run(true);
    CHECK(bit_equal(whole.first, resumed.first));
    CHECK(whole.second == resumed.second);
  };
  check(
      [] { return make<DDPO>(black_box_brightness(), {.sampler = {.num_steps = 4}, .advantage = {.min_count = 2}}); });
  check([] {
    return make<B2DiffuRL>(black_box_brightness(), {.sampler = {.num_steps = 6}, .steps = {.initial = 2, .rounds = 4}});
  });
  check([] { return make<DPOK>(black_box_brightness(), {.sampler = {.num_steps = 4}}); });
  CHECK(tune(make<DPOK>(black_box_brightness(), {.sampler = {.num_steps = 4}})).state.tensors.size() == 6 + 18);
}

TEST_CASE("reward-weighted rounds: the frozen network's images, or the best of the present one's") {
  using namespace round_test;
  const auto frozen = tune(make<RewardWeightedTraining>(black_box_brightness(), {.sampler = {.num_steps = 4}})).report;
  CHECK(frozen.images == 4);
  CHECK(frozen.kept == 3);  // the worst weighs 0
  CHECK(frozen.forward_samples == 4 * 4 + 3);
  CHECK(frozen.optimizer_steps == 1);
  CHECK(frozen.loss > 0);
  const auto raft = tune(make<RewardWeightedTraining>(
                             black_box_brightness(),
                             {.sampler = {.num_steps = 4},
                              .objective = {.weighting = RewardWeighting::kBest, .frozen = false, .noisings = 2}}))
                        .report;
  CHECK(raft.images == 4 * 8);
  CHECK(raft.kept == 4);
  CHECK(raft.backward_samples == 4 * 2);
}

TEST_CASE("reward-weighted training minimizes the mean over all images, whatever some of them weigh") {
  using namespace round_test;
  const std::vector<double> values = {0.3, 0.1, 0.9, 0.2, 0.25, 0.05, 0.15, 0.0};
  const std::vector<std::int64_t> prompts = {0, 0, 1, 1, 2, 2, 3, 3};
  const auto scores =
      black_box([&](const Tensor& images) { return at::tensor(values, at::kDouble).to(images.options()); });
  const auto check = [&](RewardWeightedOptions objective, std::int64_t kept) {
    ToyPipeline pipeline, plain;
    AdamW optimizer(pipeline.parameters());
    objective.round.samples_per_prompt = 2;
    auto tuner = make<RewardWeightedTraining>(scores, {.sampler = {.num_steps = 3}, .objective = objective});
    Rng rng(2), training(7), same(7);
    const Round round = tuner.sample(pipeline, kPrompts, rng);
    const UpdateReport report = tuner.train(pipeline, optimizer, round, training);
    CHECK(report.images == 8);
    CHECK(report.kept == kept);
    CHECK(report.backward_samples == kept);
    // the same noise levels and noise on the kept images
    std::vector<std::int64_t> times;
    for (std::int64_t i = 0; i < kept; ++i) times.push_back(same.integer(0, 999));
    const Tensor clean = round.transitions.clean;
    const Tensor errors = denoising_errors(plain, clean, times, same.normal(clean.sizes(), clean.options()),
                                           round.transitions.setup.condition.positive);  // [kept]
    double loss = 0;
    std::int64_t row = 0;
    for (const double w : RewardWeighted(objective).weights(values, prompts))
      if (w > 1e-6) loss += w * errors[row++].item<double>() / 8;
    CHECK(row == kept);
    CHECK(report.loss == doctest::Approx(loss).epsilon(1e-10));
    return report.loss / errors.mean().item<double>();
  };
  check({}, 7);                                                                 // the worst weighs 0
  check({.weighting = RewardWeighting::kExponential, .temperature = 0.01}, 1);  // exp(-60) and less
  check({.weighting = RewardWeighting::kExponential, .temperature = 1}, 8);
  // RAFT: the mean over the best of each prompt
  CHECK(check({.weighting = RewardWeighting::kBest}, 4) == doctest::Approx(1).epsilon(1e-10));
}

TEST_CASE("preferences come in pairs of one root, the better one first") {
  using namespace round_test;
  ToyPipeline pipeline;
  auto tuner = make<DPO>(black_box_brightness(), {.sampler = {.num_steps = 4}, .branching = {.num_branches = 2}});
  Rng rng(2);
  const Round round = tuner.sample(pipeline, kPrompts, rng);
  CHECK(round.report.images == 8);
  REQUIRE(round.pairs.size() == 4);
  for (const auto& [better, worse] : round.pairs) {
    const auto value = [&](std::int64_t i) {
      return pipeline.decode(round.transitions.clean.narrow(0, i, 1)).mean().item<double>();
    };
    CHECK(value(better) > value(worse));
    CHECK(round.transitions.setup.condition.prompts[static_cast<std::size_t>(better)] ==
          round.transitions.setup.condition.prompts[static_cast<std::size_t>(worse)]);
    CHECK(round.transitions.latent(0)[better].equal(round.transitions.latent(0)[worse]));
  }
}

namespace round_test {
namespace {

/// Brightness, and no score for the images at some places.
struct Failing {
  using Role = RewardRole;
  static constexpr std::string_view kName = "failing";
  static constexpr bool kDifferentiable = false, kPerGroup = false;
  std::vector<std::int64_t> without;
  double instead = std::numeric_limits<double>::quiet_NaN();
  RewardResult score(const RewardInput& input) const {
    Tensor values = input.images.mean({1, 2, 3});
    const Tensor failed = at::zeros({values.size(0)}, at::kBool);
    for (const std::int64_t i : without)
      if (i < values.size(0)) failed[i] = true;
    return {.values = values.masked_fill(failed, instead), .failed = failed};
  }
};

}  // namespace
}  // namespace round_test

TEST_CASE("rewards of a sum are standardized in groups of the images that have a score") {
  using namespace round_test;
  const auto brightness = [] { return black_box([](const Tensor& x) { return x.mean({1, 2, 3}); }); };
  const auto run = [&](double instead) {
    return tune(
        make<DDPO, PerReward>(weighted_sum(weighted(1.0, Failing{{1, 4}, instead}), weighted(2.0, brightness())),
                              {.sampler = {.num_steps = 4}, .objective = {.round = {.samples_per_prompt = 3}}}));
  };
  const Tuned none = run(std::numeric_limits<double>::quiet_NaN()), large = run(1e9);
  CHECK(none.report.failed_scores == 2);
  CHECK_FALSE(none.report.skipped);
  CHECK(none.report.kept > 0);
  CHECK(bit_equal(none.parameters, large.parameters));
}

TEST_CASE("images without a score are left out of a round and counted") {
  using namespace round_test;
  const auto run = [&](auto tuner) { return tune(std::move(tuner), {}, 1); };
  // whatever stands in their place, they change nothing
  for (const double instead : {std::numeric_limits<double>::quiet_NaN(), 0.0, 1e9}) {
    CAPTURE(instead);
    const Tuned ddpo = run(make<DDPO>(Failing{{1, 3}, instead}, {.sampler = {.num_steps = 4}}));
    const Tuned nan = run(make<DDPO>(Failing{{1, 3}}, {.sampler = {.num_steps = 4}}));
    CHECK(ddpo.report.failed_scores == 2);
    CHECK(ddpo.report.images == 4);
    CHECK(ddpo.report.kept == 2);
    CHECK(ddpo.report.groups == 2);
    CHECK_FALSE(ddpo.report.skipped);
    CHECK(ddpo.report.reward == nan.report.reward);
    CHECK(bit_equal(ddpo.parameters, nan.parameters));
  }
  const Tuned whole = run(make<DDPO>(Failing{}, {.sampler = {.num_steps = 4}}));
  CHECK(whole.report.failed_scores == 0);
  CHECK(whole.report.kept == 4);
  {
    ToyPipeline pipeline;
    Rng rng(5);
    auto tuner = make<DDPO>(Failing{{1, 3}}, {.sampler = {.num_steps = 4}});
    tuner.plan(1);
    const Round round = tuner.sample(pipeline, kPrompts, rng);
    CHECK(round.transitions.setup.condition.prompts == std::vector<std::string>{kPrompts[0], kPrompts[2]});
    CHECK(round.scored.prompts == round.transitions.setup.condition.prompts);
    CHECK(round.scored.rewards.size() == 2);
  }
  // groups shrink
  const Tuned grpo = run(
      make<GRPO>(Failing{{0, 5}}, {.sampler = {.num_steps = 4}, .objective = {.round = {.samples_per_prompt = 3}}}));
  CHECK(grpo.report.failed_scores == 2);
  CHECK(grpo.report.kept == 10);
  // branches are chosen from among each other: a root goes as a whole
  const Tuned b2 = run(make<B2DiffuRL>(Failing{{2}}, {.sampler = {.num_steps = 4}, .branching = {.threshold = 0}}));
  CHECK(b2.report.failed_scores == 1);
  CHECK(b2.report.images == 12);
  CHECK(b2.report.kept == 6);
  const Tuned weighted = run(make<RewardWeightedTraining>(
      Failing{{0, 5}}, {.sampler = {.num_steps = 4}, .objective = {.round = {.samples_per_prompt = 3}}}));
  CHECK(weighted.report.failed_scores == 2);
  CHECK(weighted.report.kept <= 10);
  CHECK(std::isfinite(weighted.report.loss));
  std::ostringstream line;
  line << grpo.report;
  CHECK(line.str().find("without a score 2 of 12") != std::string::npos);
}

TEST_CASE("a round in which nothing has a score is skipped") {
  using namespace round_test;
  const Tuned none = tune(make<DDPO>(Failing{{0, 1, 2, 3}}, {.sampler = {.num_steps = 4}}), {}, 1);
  CHECK(none.report.skipped);
  CHECK(none.report.skip_reason == "none of the 4 images has a score");
  CHECK(std::isnan(none.report.reward));
  const Tuned roots = tune(make<B2DiffuRL>(Failing{{0, 4, 8, 9}}, {.sampler = {.num_steps = 4}}), {}, 1);
  CHECK(roots.report.skip_reason == "each root of the 12 images has a branch without a score");
}

namespace round_test {
namespace {

/// Brightness that comes later: the answer to each question is there only once `needed` were asked.
struct Later {
  using Role = RewardRole;
  static constexpr std::string_view kName = "later";
  static constexpr bool kDifferentiable = false, kPerGroup = false;
  struct Desk {
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t needed = 0;
    std::vector<std::vector<std::string>> prompts = {};
    std::vector<std::vector<std::int64_t>> groups = {};
    bool fails = false;
  };
  std::shared_ptr<Desk> desk;

  RewardResult score(const RewardInput& input) const { return {input.images.mean({1, 2, 3})}; }
  std::future<RewardResult> score_later(const RewardInput& input) const {
    const std::lock_guard lock(desk->mutex);
    desk->prompts.push_back(input.prompts);
    const Tensor ids = input.group_ids.contiguous();
    desk->groups.emplace_back(ids.const_data_ptr<std::int64_t>(), ids.const_data_ptr<std::int64_t>() + ids.numel());
    desk->changed.notify_all();
    return std::async(std::launch::async, [desk = desk, result = score(input)] {
      std::unique_lock waiting(desk->mutex);
      if (!desk->changed.wait_for(waiting, std::chrono::seconds(20),
                                  [&] { return desk->prompts.size() >= desk->needed; }))
        throw std::runtime_error("the round waited for a score before it sampled on");
      if (desk->fails) throw std::runtime_error("no answer");
      return result;
    });
  }
};

}  // namespace
}  // namespace round_test

TEST_CASE("a reward that scores later is asked while the round samples on, and trains as one that does not") {
  using namespace round_test;
  // one image decoded at a time either way: equal to the last bit
  const auto check = [](auto make_tuner, std::size_t questions) {
    const auto desk = std::make_shared<Later::Desk>();
    desk->needed = questions;
    const Later later{desk};
    const auto at_once = black_box([](const Tensor& images) { return images.mean({1, 2, 3}); });
    const Tuned expected = tune(make_tuner(AnyReward(at_once)));
    const Tuned own = tune(make_tuner(AnyReward(later)));
    CHECK(desk->prompts.size() == questions);
    CHECK(own.report.reward == expected.report.reward);
    CHECK(own.report.kept == expected.report.kept);
    CHECK(bit_equal(own.parameters, expected.parameters));
  };
  check(
      [](auto reward) {
        return make<DDPO>(reward, {.sampler = {.num_steps = 3}, .engine = {.micro_batch = 2, .decode_batch = 1}});
      },
      4);
  check(
      [](auto reward) {
        return make<B2DiffuRL>(reward, {.sampler = {.num_steps = 3}, .engine = {.micro_batch = 5, .decode_batch = 1}});
      },
      12);
  check(
      [](auto reward) {
        return make<RewardWeightedTraining>(
            reward, {.sampler = {.num_steps = 3}, .engine = {.micro_batch = 3, .decode_batch = 1}});
      },
      static_cast<std::size_t>(
          tune(make<RewardWeightedTraining>(black_box_brightness(), {.sampler = {.num_steps = 3}})).report.images));

  // prompts and groups are those of the whole round
  const auto desk = std::make_shared<Later::Desk>();
  const auto sum = weighted_sum({weighted(1.0, AnyReward(Later{desk})), weighted(0.5, AnyReward(constant()))});
  CHECK(sum.scores_later());
  const Tuned summed = tune(make<GRPO>(
      sum,
      {.sampler = {.num_steps = 3}, .objective = {.round = {.samples_per_prompt = 2}}, .engine = {.micro_batch = 3}}));
  CHECK(summed.report.images == 8);
  CHECK(summed.report.components.at("black_box") == doctest::Approx(0.3));
  REQUIRE(desk->prompts.size() == 3);
  std::vector<std::string> prompts;
  std::vector<std::int64_t> groups;
  for (std::size_t i = 0; i < 3; ++i) {
    prompts.insert(prompts.end(), desk->prompts[i].begin(), desk->prompts[i].end());
    groups.insert(groups.end(), desk->groups[i].begin(), desk->groups[i].end());
  }
  CHECK(groups == prompt_groups(prompts));
  CHECK(prompts.size() == 8);

  // a failure keeps its name, and everything as it was
  desk->fails = true;
  CHECK_THROWS_WITH_AS(tune(make<DDPO>(sum, {.sampler = {.num_steps = 3}, .engine = {.micro_batch = 2}})),
                       doctest::Contains("[RewardPolicy] the reward weighted_sum threw: no answer"), Error);
  // a reward of groups has to see all images
  const auto grouped = weighted_sum({weighted(1.0, AnyReward(Later{desk})), weighted(0.5, AnyReward(Variety()))});
  desk->fails = false;
  desk->prompts.clear();
  tune(make<DDPO>(grouped, {.sampler = {.num_steps = 3}, .engine = {.micro_batch = 2}}));
  CHECK(desk->prompts.empty());
}
