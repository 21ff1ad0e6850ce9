// Every method that learns from samples learns: it raises a black-box reward on a model whose denoiser is exactly
// known; with rewards dealt to other images it does not.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include <reward_tuner/methods/b2_diffurl.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/dpo.hpp>
#include <reward_tuner/methods/dpok.hpp>
#include <reward_tuner/methods/grpo.hpp>
#include <reward_tuner/methods/lsrl.hpp>
#include <reward_tuner/methods/policy_gradient.hpp>
#include <reward_tuner/methods/reward_weighted.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/run/captioned_images.hpp>
#include <reward_tuner/samplers/ddpm.hpp>
#include <reward_tuner/samplers/flow_euler.hpp>

#include <tests/reference/gaussian_pipeline.hpp>
#include <tests/reference/target_reward.hpp>

namespace sampled_methods_test {
namespace {

using namespace reward_tuner;
using TargetReward = reference::TargetReward<false>;

constexpr int kUpdates = 40;

/// What a case varies beside the options.
struct Run {
  int prompts = 32;             ///< roots an update
  double learning_rate = 0.05;  ///< of AdamW
  PredictionType prediction = PredictionType::kEpsilon;
};

/// How much of the reward's distance to 0 forty updates close: 1 is all of it.
template <class Tuner>
double gain(std::uint64_t seed, const Run& run, typename Tuner::Options options, bool shuffled) {
  reference::GaussianPipeline pipeline({.schedule = {.prediction = run.prediction}});
  AdamW optimizer(pipeline.parameters(), {.learning_rate = run.learning_rate});
  Rng rng(seed), dealer(seed + 77);
  TargetReward reward;
  // Random signs would be no control: all rewards are below 0, so the best image of a round would be a bad one.
  if (shuffled)
    reward.shuffle = [&dealer](const Tensor& values) {
      return values.index_select(0, dealer.permutation(values.size(0)));
    };
  options.sampler.num_steps = 10;
  options.sampler.guidance = 1.0;
  options.engine.gradient_clip = 0.1;  // the last noisy step's gradients are rare and large here
  Tuner tuner(reward, options);
  const double before = reference::mean_target_value(pipeline);
  for (int i = 0; i < kUpdates; ++i)
    tuner.update(pipeline, optimizer, std::vector<std::string>(static_cast<std::size_t>(run.prompts), "x"), rng);
  return 1 - reference::mean_target_value(pipeline) / before;
}

template <class Tuner>
void check_learning(const std::string& name, const Run& run, typename Tuner::Options options, double margin) {
  double mean_control = 0;
  for (const std::uint64_t seed : {1, 2, 3, 4, 5}) {
    const double learned = gain<Tuner>(seed, run, options, false), control = gain<Tuner>(seed, run, options, true);
    MESSAGE(name, " seed ", seed, ": gain ", learned, ", dealt at random ", control);
    CHECK(learned > margin);
    mean_control += control / 5;
  }
  CHECK(mean_control < margin / 2);
}

/// Images of the untuned model.
std::shared_ptr<const CaptionedImages> images() {
  Rng rng(5);
  return std::make_shared<const CaptionedImages>((0.5 + 0.125 * rng.normal({32, 3, 4, 4})).clamp(0, 1),
                                                 std::vector<std::string>(32, "x"));
}

}  // namespace
}  // namespace sampled_methods_test

TEST_CASE("the policy gradient and DDPO raise a black-box reward, dealt at random it does not") {
  using namespace sampled_methods_test;
  check_learning<PolicyGradient<TargetReward>>("policy gradient", {}, {}, 0.9);
  check_learning<PolicyGradient<TargetReward, Ddpm>>("policy gradient on DDPM, v, without the ratio",
                                                     {.prediction = PredictionType::kVPrediction},
                                                     {.objective = {.importance_weighted = false}}, 0.9);
  check_learning<DDPO<TargetReward>>("DDPO", {.learning_rate = 0.04}, {}, 0.9);
  check_learning<DDPO<TargetReward>>("DDPO, one step", {}, {.objective = {.round = {.updates_per_epoch = 1}}}, 0.9);
  check_learning<DDPO<TargetReward>>("DDPO, two passes of two steps", {.learning_rate = 0.02},
                                     {.objective = {.round = {.epochs = 2, .updates_per_epoch = 2}}}, 0.9);
}

TEST_CASE("GRPO and large-scale RL raise a black-box reward, dealt at random it does not") {
  using namespace sampled_methods_test;
  check_learning<GRPO<TargetReward>>("GRPO", {.prompts = 4, .learning_rate = 0.04}, {}, 0.9);
  check_learning<LSRL<TargetReward>>("LSRL", {.learning_rate = 0.02}, {}, 0.9);
  check_learning<LSRL<TargetReward>>("LSRL with pre-training", {.learning_rate = 0.02},
                                     {.regularizer = {.images = images(), .weight = 0.01}}, 0.8);
}

TEST_CASE("DPOK and online DPO raise a black-box reward, dealt at random it does not") {
  using namespace sampled_methods_test;
  check_learning<DPOK<TargetReward>>("DPOK", {.learning_rate = 0.02}, {}, 0.9);
  check_learning<DPO<TargetReward>>("DPO", {.prompts = 16}, {.branching = {.num_branches = 2}}, 0.8);
}

TEST_CASE("B2-DiffuRL around every objective raises a black-box reward, dealt at random it does not") {
  using namespace sampled_methods_test;
  // a fixed plan: 5 last steps first, all 10 in the end
  const BackwardWindowOptions window{.initial = 5, .rounds = kUpdates};
  // the method's own four steps a round, each on a quarter of the few kept images, are noisier
  check_learning<B2DiffuRL<TargetReward>>("B2 DDPO", {.prompts = 16, .learning_rate = 0.02}, {.steps = window}, 0.5);
  check_learning<B2DiffuRL<TargetReward>>("B2 DDPO, one step", {.prompts = 16},
                                          {.steps = window, .objective = {.round = {.updates_per_epoch = 1}}}, 0.9);
  check_learning<B2DiffuRL<TargetReward, Reinforce>>("B2 PG", {.prompts = 16}, {.steps = window}, 0.9);
  check_learning<B2DiffuRL<TargetReward, KlRegularized>>(
      "B2 DPOK, one step", {.prompts = 16}, {.steps = window, .objective = {.round = {.updates_per_epoch = 1}}}, 0.9);
  check_learning<B2DiffuRL<TargetReward, Preference>>("B2 DPO", {.prompts = 16}, {.steps = window}, 0.5);
}

TEST_CASE("reward-weighted training and RAFT raise a black-box reward, dealt at random it does not") {
  using namespace sampled_methods_test;
  // no more to be had from the untuned model's own images
  check_learning<RewardWeightedTraining<TargetReward>>(
      "reward-weighted, frozen", {.learning_rate = 0.01},
      {.objective = {.weighting = RewardWeighting::kExponential, .temperature = 0.005, .noisings = 4}}, 0.11);
  check_learning<RewardWeightedTraining<TargetReward>>(
      "RAFT", {.prompts = 4}, {.objective = {.weighting = RewardWeighting::kBest, .frozen = false, .noisings = 8}},
      0.9);
  check_learning<RewardWeightedTraining<TargetReward, FlowEuler>>(
      "RAFT of a flow", {.prompts = 4, .prediction = PredictionType::kFlow},
      {.objective = {.weighting = RewardWeighting::kBest, .frozen = false, .noisings = 8}}, 0.9);
}

TEST_CASE("where a quiet step drowns the signal, weights by noise learn in a third of the images") {
  using namespace sampled_methods_test;
  // of 5 steps the last but one has |b|/c = 14, the others at most 2; updates until four fifths are learned
  const auto updates = [](std::uint64_t seed, StepWeights weights, int skip_last) {
    reference::GaussianPipeline pipeline;
    AdamW optimizer(pipeline.parameters(), {.learning_rate = 0.2});
    Rng rng(seed);
    PolicyGradient<TargetReward> tuner({}, {.sampler = {.num_steps = 5, .guidance = 1.0},
                                            .steps = {.skip_last = skip_last},
                                            .objective = {.round = {.step_weights = weights}},
                                            .engine = {.gradient_clip = 1e9}});
    const double before = reference::mean_target_value(pipeline);
    int made = 0;
    while (made < 300 && reference::mean_target_value(pipeline) <= 0.2 * before) {
      tuner.update(pipeline, optimizer, std::vector<std::string>(4, "x"), rng);
      ++made;
    }
    return made;
  };
  int equal = 0, noise = 0, squared = 0, skipped = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    equal += updates(seed, StepWeights::kEqual, 0);
    noise += updates(seed, StepWeights::kNoise, 0);
    squared += updates(seed, StepWeights::kNoiseSquared, 0);
    skipped += updates(seed, StepWeights::kEqual, 2);
  }
  MESSAGE("updates of ten seeds: equal ", equal, ", by noise ", noise, ", squared ", squared, ", last two left out ",
          skipped);
  CHECK(3 * noise <= equal);
  CHECK(2 * squared <= equal);
  CHECK(3 * skipped <= equal);
}

TEST_CASE("sampled methods are the configurations their papers describe, and name what they are given instead") {
  using namespace sampled_methods_test;
  static_assert(std::is_same_v<DDPO<TargetReward>::Objective, ClippedRatio> &&
                std::is_same_v<DDPO<TargetReward>::Advantage, PerPrompt> &&
                std::is_same_v<DDPO<TargetReward>::StepSelection, AllSteps>);
  static_assert(std::is_same_v<GRPO<TargetReward>::Advantage, PerGroup> &&
                std::is_same_v<GRPO<TargetReward>::Objective, ClippedRatio>);
  static_assert(std::is_same_v<PolicyGradient<TargetReward>::Objective, Reinforce> &&
                std::is_same_v<DPOK<TargetReward>::Objective, KlRegularized>);
  static_assert(std::is_same_v<DPO<TargetReward>::Objective, Preference> &&
                std::is_same_v<DPO<TargetReward>::Branching, BestAndWorst>);
  static_assert(std::is_same_v<LSRL<TargetReward>::StepSelection, RandomSteps> &&
                std::is_same_v<LSRL<TargetReward>::Regularizer, PretrainingLoss>);
  using B2 = B2DiffuRL<TargetReward, Reinforce, Ddpm>;
  static_assert(std::is_same_v<B2::Objective, Reinforce> && std::is_same_v<B2::StepSelection, BackwardWindow> &&
                std::is_same_v<B2::Branching, BestAndWorst> && std::is_same_v<B2::Advantage, History>);
  static_assert(std::is_same_v<B2::Sampler, Ddpm> &&
                std::is_same_v<DDPO<TargetReward, RandomSteps>::StepSelection, RandomSteps>);
  static_assert(std::is_same_v<RewardWeightedTraining<TargetReward>::Objective, RewardWeighted> &&
                RewardWeightedTraining<TargetReward>::kSamples);
  CHECK(DDPO<TargetReward>(TargetReward{}).options().sampler.eta == 1.0);
  // needs no noise
  CHECK_FALSE(RewardWeightedTraining<TargetReward>(TargetReward{}).options().sampler.eta.has_value());
}
