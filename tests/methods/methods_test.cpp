// Every method learns: it raises a reward on a model whose denoiser is exactly known; with shuffled rewards it does
// not.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include <reward_tuner/methods/alignprop.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/draft_lv.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/methods/refl.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/samplers/ddpm.hpp>
#include <reward_tuner/samplers/flow_euler.hpp>
#include <reward_tuner/step_selection/random_steps.hpp>

#include <tests/reference/gaussian_pipeline.hpp>
#include <tests/reference/target_reward.hpp>

namespace methods_test {
namespace {

using namespace reward_tuner;
using TargetReward = reference::TargetReward<true>;

/// A random sign for every sample of every batch.  values [B] -> [B]
Tensor signed_at_random(Rng& rng, const Tensor& values) {
  const Tensor draws = rng.uniform(values.sizes(), values.options().requires_grad(false));  // [B]
  return values * (2.0 * (draws > 0.5).to(values.scalar_type()) - 1.0);                     // [B]
}

/// How much of the reward's distance to 0 thirty updates close: 1 is all of it.
template <class Tuner>
double gain(std::uint64_t seed, PredictionType prediction, typename Tuner::Options options, bool shuffled) {
  reference::GaussianPipeline pipeline({.schedule = {.prediction = prediction}});
  AdamW optimizer(pipeline.parameters(), {.learning_rate = 0.05});
  Rng rng(seed), signs(seed + 77);
  TargetReward reward;
  if (shuffled) reward.shuffle = [&signs](const Tensor& values) { return signed_at_random(signs, values); };
  options.sampler.num_steps = 10;
  options.sampler.guidance = 1.0;
  Tuner tuner(reward, options);
  const double before = reference::mean_target_value(pipeline);
  for (int i = 0; i < 30; ++i) tuner.update(pipeline, optimizer, std::vector<std::string>(8, "x"), rng);
  return 1 - reference::mean_target_value(pipeline) / before;
}

template <class Tuner>
void check_learning(const std::string& name, PredictionType prediction, typename Tuner::Options options,
                    double margin) {
  double mean_control = 0;
  for (const std::uint64_t seed : {1, 2, 3}) {
    const double learned = gain<Tuner>(seed, prediction, options, false),
                 control = gain<Tuner>(seed, prediction, options, true);
    MESSAGE(name, " seed ", seed, ": gain ", learned, ", shuffled ", control);
    CHECK(learned > margin);
    mean_control += control / 3;
  }
  CHECK(mean_control < margin / 2);
}

}  // namespace
}  // namespace methods_test

TEST_CASE("DRTune raises a reward, shuffled rewards do not") {
  using namespace methods_test;
  check_learning<DRTune<TargetReward>>("DRTune", PredictionType::kEpsilon, {.steps = {.num_trained = 2}}, 0.6);
  check_learning<DRTune<TargetReward, Ddpm>>("DRTune on DDPM, v", PredictionType::kVPrediction,
                                             {.steps = {.num_trained = 2}}, 0.6);
}

TEST_CASE("DRaFT raises a reward, shuffled rewards do not") {
  using namespace methods_test;
  check_learning<DRaFT<TargetReward>>("DRaFT-1", PredictionType::kEpsilon, {.steps = {.num_trained = 1}}, 0.6);
  check_learning<DRaFT<TargetReward>>("DRaFT-T", PredictionType::kEpsilon, {.steps = {.num_trained = 10}}, 0.6);
}

TEST_CASE("DRaFT-LV, ReFL, AlignProp and losses with a target raise a reward, shuffled rewards do not") {
  using namespace methods_test;
  constexpr auto kEpsilon = PredictionType::kEpsilon;
  check_learning<DRaFTLV<TargetReward>>("DRaFT-LV", kEpsilon, {}, 0.6);
  check_learning<ReFL<TargetReward>>(
      "ReFL", kEpsilon,
      {.steps = {.max_stop = 5}, .objective = {.scale = 1e-3, .loss = RewardLoss::kHinge, .target = 0.5}}, 0.6);
  check_learning<AlignProp<TargetReward>>("AlignProp per step", kEpsilon,
                                          {.objective = {.loss = RewardLoss::kDistance, .target = 1.0}}, 0.6);
  check_learning<AlignProp<TargetReward>>("AlignProp per rollout", PredictionType::kVPrediction,
                                          {.steps = {.draw = HorizonDraw::kPerRollout}}, 0.6);
  check_learning<AlignProp<TargetReward, StopInput>>("AlignProp, stopped", kEpsilon, {}, 0.6);
  check_learning<DRaFT<TargetReward, StopInput>>("DRaFT-T, stopped", kEpsilon, {.steps = {.num_trained = 10}}, 0.6);
  check_learning<RewardTuner<TargetReward, RandomSteps>>("random steps", kEpsilon, {.steps = {.num_trained = 3}}, 0.6);
}

TEST_CASE("every direct method raises a reward of a flow's images, shuffled rewards do not") {
  using namespace methods_test;
  constexpr auto kFlow = PredictionType::kFlow;
  check_learning<DRTune<TargetReward, FlowEuler>>("DRTune", kFlow, {.steps = {.num_trained = 2}}, 0.6);
  check_learning<DRaFT<TargetReward, FlowEuler>>("DRaFT-T, shifted", kFlow,
                                                 {.sampler = {.shift = 3}, .steps = {.num_trained = 10}}, 0.6);
  check_learning<DRaFTLV<TargetReward, FlowEuler>>("DRaFT-LV", kFlow, {}, 0.6);
  check_learning<ReFL<TargetReward, FlowEuler>>(
      "ReFL", kFlow,
      {.steps = {.max_stop = 5}, .objective = {.scale = 1e-3, .loss = RewardLoss::kHinge, .target = 0.5}}, 0.6);
  check_learning<AlignProp<TargetReward, FlowEuler>>("AlignProp", kFlow, {}, 0.6);
}

TEST_CASE("methods are the configurations their papers describe") {
  using namespace methods_test;
  static_assert(std::is_same_v<DRTune<TargetReward>::GradientStop, StopInput> &&
                std::is_same_v<DRTune<TargetReward>::StepSelection, SpreadSteps>);
  static_assert(std::is_same_v<DRaFT<TargetReward>::GradientStop, PassInput> &&
                std::is_same_v<DRaFT<TargetReward>::StepSelection, LastSteps>);
  static_assert(std::is_same_v<DRaFTLV<TargetReward>::GradientStop, PassInput> &&
                std::is_same_v<DRaFTLV<TargetReward>::StepSelection, NoisedTail>);
  static_assert(std::is_same_v<ReFL<TargetReward>::GradientStop, PassInput> &&
                std::is_same_v<ReFL<TargetReward>::StepSelection, LateJump>);
  static_assert(std::is_same_v<AlignProp<TargetReward>::GradientStop, PassInput> &&
                std::is_same_v<AlignProp<TargetReward>::StepSelection, RandomHorizon>);
  // naming a stop replaces the method's own
  static_assert(std::is_same_v<AlignProp<TargetReward, StopInput>::GradientStop, StopInput> &&
                std::is_same_v<AlignProp<TargetReward, Ddpm, StopInput>::Sampler, Ddpm>);
  static_assert(std::is_same_v<DRTune<TargetReward, PassInput>::GradientStop, PassInput> &&
                std::is_same_v<DRTune<TargetReward, PassInput>::StepSelection, SpreadSteps>);
  const DRTune<TargetReward> drtune(TargetReward{});
  CHECK(drtune.options().sampler.num_steps == 50);
  CHECK(drtune.options().sampler.guidance == 7.5);
  CHECK(drtune.options().steps.num_trained == 5);
  CHECK(drtune.options().engine.gradient_clip == 0.1);
  CHECK(DRaFT<TargetReward>(TargetReward{}).options().steps.num_trained == 1);
  CHECK(drtune.guidance_scales(3) == std::vector<double>(3, 7.5));
}
