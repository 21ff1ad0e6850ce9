// Whole updates that train the text encoder: every kind of gradient against plain autograd over a graph that the
// encoder is part of, and against finite differences of the loss that the update reports, in double.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <reward_tuner/engine/log_prob.hpp>
#include <reward_tuner/exploration/prompt_weighting.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/methods/alignprop.hpp>
#include <reward_tuner/methods/b2_diffurl.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/dpo.hpp>
#include <reward_tuner/methods/dpok.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/draft_lv.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/methods/policy_gradient.hpp>
#include <reward_tuner/methods/refl.hpp>
#include <reward_tuner/methods/reward_weighted.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/regularizers/pretraining_loss.hpp>
#include <reward_tuner/samplers/ddpm.hpp>
#include <reward_tuner/step_selection/all_steps.hpp>
#include <reward_tuner/tuner/multi_task.hpp>

#include <tests/reference/captioned_toy.hpp>
#include <tests/reference/tensor_lists.hpp>
#include <tests/reference/text_toy.hpp>
#include <tests/reference/tiny_folder.hpp>
#include <tests/reference/toy_reward.hpp>
#include <tests/reference/unrolled.hpp>

namespace text_encoder_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

const std::vector<std::string> kPrompts = {"a red circle", "two blue squares", "a star", "a green moon"};
const EngineOptions kWhole{.gradient_clip = 0};
const EngineOptions kCut{.micro_batch = 3, .gradient_clip = 0, .decode_batch = 2};

TextToy disturbed() {
  TextToy pipeline;
  pipeline.disturb(8, 0.05);
  return pipeline;
}

/// The condition of an update with the encoder's graph, explored as the tuner does it, and the untuned encoder's.
template <class Tuner, class Pipeline>
Condition explored(const Tuner& tuner, Pipeline& pipeline, const SampleNoise& noise) {
  const auto made = [&] {
    Rng own = Rng::derive(noise.seeds().front(), 0xE0);
    return typename Tuner::Exploration(tuner.options().exploration).condition(pipeline.encode(kPrompts), own);
  };
  Condition condition = made();
  const auto scope = pipeline.reference_scope();
  condition.untuned = std::make_shared<const Condition>(made());
  return condition;
}

/// One update's gradients and those of the unrolled graph: relative distance over network and text encoder together.
template <class Tuner, class Pipeline>
double direct_distance(Tuner tuner, Pipeline& pipeline, UnrolledSetup setup) {
  StepRecorder optimizer{pipeline.parameters()};
  Rng rng(5), same(5);
  const UpdateReport report = tuner.update(pipeline, optimizer, kPrompts, rng);
  setup.plan = typename Tuner::StepSelection(tuner.options().steps).plan({.num_steps = setup.sampler.num_steps}, same);
  SampleNoise noise = SampleNoise::draw(4, same);
  const LatentReward reward = [&](const Tensor& clean) {
    return ToyReward().score({.images = pipeline.decode(clean), .prompts = kPrompts}).values;
  };
  const Condition condition = explored(tuner, pipeline, noise);
  const auto truth = unrolled_update(pipeline, setup, condition, std::move(noise), reward);
  CHECK(report.loss == doctest::Approx(truth.loss).epsilon(1e-9));
  CHECK(truth.gradients.back().abs().max().template item<double>() > 0);
  return distance(optimizer.steps.at(0), truth.gradients);
}

/// Training on a stored round: the loss, and the gradients of every optimizer step.
struct Trained {
  double loss = 0;
  std::vector<std::vector<Tensor>> steps;
};
template <class Tuner>
Trained train(Tuner tuner, TextToy& pipeline, const Round& round) {
  StepRecorder optimizer{pipeline.parameters()};
  Rng rng(3);
  const double loss = tuner.train(pipeline, optimizer, round, rng).loss;
  return {loss, optimizer.steps};
}

/// Largest error of the text encoder's slopes against central differences of `loss()`, relative to the largest slope.
template <class Loss>
double slope_error(TextToy& pipeline, const std::vector<Tensor>& gradients, Loss loss) {
  double worst = 0, largest = 0;
  for (std::size_t weight = 0; weight < 2; ++weight) {
    Tensor w = pipeline.text_parameters()[weight].detach().view({-1});
    const Tensor slopes = gradients[gradients.size() - 2 + weight].view({-1});
    largest = std::max(largest, slopes.abs().max().item<double>());
    for (const int element : {0, 4, 7}) {
      const double at = w[element].item<double>(), step = 1e-5;
      const auto there = [&](double value) {
        w[element] = value;
        const double result = loss();
        w[element] = at;
        return result;
      };
      const double difference = (there(at + step) - there(at - step)) / (2 * step);
      worst = std::max(worst, std::abs(difference - slopes[element].item<double>()));
    }
  }
  CHECK(largest > 0);
  return worst / largest;
}

/// The same for a round that was sampled with other weights than it is trained with.
template <class Tuner>
double round_slope_error(Tuner tuner) {
  TextToy pipeline = disturbed();
  Rng rng(5);
  const Round round = tuner.sample(pipeline, kPrompts, rng);
  REQUIRE(round.report.kept > 0);
  pipeline.disturb(11, 0.02);
  const Trained trained = train(tuner, pipeline, round);
  return slope_error(pipeline, trained.steps.at(0), [&] { return train(tuner, pipeline, round).loss; });
}

PretrainingLossOptions pretraining() {
  return {.images = captioned_images(), .weight = 0.4, .batch = 2, .mode = PretrainingMode::kJoint};
}

/// A tiny Stable Diffusion in double with LoRAs on its UNet and its text encoders, away from their start.
struct WithLoras : StableDiffusion {
  using Targets = std::map<std::string, std::vector<std::string>>;  // by the text encoder's name

  WithLoras(const StableDiffusion& loaded, const Targets& targets) : StableDiffusion(loaded) {
    loras.push_back(Lora::attach(unet(), {.rank = 2}));
    for (const auto& [name, model] : text_encoders())
      if (const auto found = targets.find(name); found != targets.end())
        loras.push_back(Lora::attach(*model, {.rank = 2, .targets = found->second}, name));
    const torch::NoGradGuard no_grad;
    Rng rng(9);
    for (const Lora& lora : loras)
      for (Tensor& p : lora.parameters()) all.push_back(p.add_(rng.normal(p.sizes(), p.options()), 0.2));
  }
  std::vector<Tensor>& parameters() { return all; }
  std::vector<Lora> loras;
  std::vector<Tensor> all;
};

/// A direct method with KL and one word of each prompt weighted, and one whose gradient passes through the sampler,
/// against plain autograd.
void check_direct_methods(WithLoras& pipeline, const EngineOptions& engine) {
  REQUIRE(pipeline.trains_condition());
  CHECK(direct_distance(DRTune<ToyReward, KlToReference, PromptWeighting>(
                            ToyReward(), {.sampler = {.num_steps = 4, .guidance = 3.0},
                                          .steps = {.num_trained = 2},
                                          .exploration = {.low = 1.1, .high = 2, .span = {.updates = 100}},
                                          .regularizer = {.weight = 0.7},
                                          .engine = engine}),
                        pipeline, {.sampler = {.num_steps = 4}, .guidance = 3.0, .kl_weight = 0.7}) < 1e-9);
  CHECK(direct_distance(DRaFT<ToyReward>(ToyReward(), {.sampler = {.num_steps = 4, .guidance = 3.0},
                                                       .steps = {.num_trained = 2},
                                                       .engine = engine}),
                        pipeline, {.sampler = {.num_steps = 4}, .stop_input = false, .guidance = 3.0}) < 1e-9);
}

}  // namespace
}  // namespace text_encoder_test

TEST_CASE("direct methods train the text encoder as one graph over encoder, sampler and decoder does") {
  using namespace text_encoder_test;
  double worst = 0;
  const auto compare = [&](auto tuner, const UnrolledSetup& setup) {
    TextToy pipeline = disturbed();
    const double error = direct_distance(std::move(tuner), pipeline, setup);
    worst = std::max(worst, error);
    CHECK(error < 1e-10);
  };
  for (const EngineOptions& engine :
       {kWhole, kCut, EngineOptions{.gradient_clip = 0, .memory = Memory::kRetain},
        EngineOptions{.micro_batch = 2, .gradient_clip = 0, .memory = Memory::kRetain, .decode_batch = 1}}) {
    for (const double guidance : {1.0, 3.0}) {
      compare(DRTune<ToyReward>(ToyReward(), {.sampler = {.num_steps = 8, .guidance = guidance, .eta = 0.5},
                                              .steps = {.num_trained = 3},
                                              .engine = engine}),
              {.sampler = {.eta = 0.5, .num_steps = 8}, .guidance = guidance});
      compare(DRTune<ToyReward, PromptWeighting>(ToyReward(),
                                                 {.sampler = {.num_steps = 8, .guidance = guidance},
                                                  .steps = {.num_trained = 3},
                                                  .exploration = {.low = 1.1, .high = 2, .span = {.updates = 100}},
                                                  .engine = engine}),
              {.sampler = {.num_steps = 8}, .guidance = guidance});
      compare(DRTune<ToyReward, KlToReference, PromptWeighting>(
                  ToyReward(), {.sampler = {.num_steps = 8, .guidance = guidance},
                                .steps = {.num_trained = 3},
                                .exploration = {.low = 1.1, .high = 2, .span = {.updates = 100}},
                                .regularizer = {.weight = 0.7},
                                .engine = engine}),
              {.sampler = {.num_steps = 8}, .guidance = guidance, .kl_weight = 0.7});
      compare(DRaFT<ToyReward, KlToReference>(ToyReward(), {.sampler = {.num_steps = 5, .guidance = guidance},
                                                            .steps = {.num_trained = 5},
                                                            .regularizer = {.weight = 0.7},
                                                            .engine = engine}),
              {.sampler = {.num_steps = 5}, .stop_input = false, .guidance = guidance, .kl_weight = 0.7});
      compare(ReFL<ToyReward, Ddpm>(
                  ToyReward(),
                  {.sampler = {.num_steps = 8, .guidance = guidance}, .steps = {.max_stop = 6}, .engine = engine}),
              {.sampler = {.ddpm = true, .num_steps = 8}, .stop_input = false, .guidance = guidance});
      compare(AlignProp<ToyReward>(ToyReward(),
                                   {.sampler = {.num_steps = 6, .guidance = guidance, .eta = 1.0}, .engine = engine}),
              {.sampler = {.eta = 1.0, .num_steps = 6}, .stop_input = false, .guidance = guidance});
    }
  }
  compare(AlignProp<ToyReward, StopInput>(ToyReward(), {.sampler = {.num_steps = 6, .guidance = 3.0},
                                                        .engine = {.gradient_clip = 0, .replay_batch = 3}}),
          {.sampler = {.num_steps = 6}, .guidance = 3.0});
  MESSAGE("worst relative error: ", worst);
}

TEST_CASE("direct methods' gradient is the slope of the reported loss, replicas and pre-training loss included") {
  using namespace text_encoder_test;
  const auto compare = [](auto tuner) {
    TextToy pipeline = disturbed();
    const auto run = [&](StepRecorder& optimizer) {
      auto fresh = tuner;
      Rng rng(5);
      return fresh.update(pipeline, optimizer, kPrompts, rng).loss;
    };
    StepRecorder recorded{pipeline.parameters()};
    run(recorded);
    const double error = slope_error(pipeline, recorded.steps.at(0), [&] {
      StepRecorder ignored{pipeline.parameters()};
      return run(ignored);
    });
    CHECK(error < 1e-6);
  };
  compare(RewardTuner<ToyReward, AllSteps, PassInput>(ToyReward(),
                                                      {.sampler = {.num_steps = 5, .guidance = 3.0}, .engine = kCut}));
  compare(RewardTuner<ToyReward, AllSteps, PassInput, PretrainingLoss, PromptWeighting>(
      ToyReward(), {.sampler = {.num_steps = 5, .guidance = 3.0},
                    .exploration = {.low = 1.1, .high = 2, .span = {.updates = 100}},
                    .regularizer = pretraining(),
                    .engine = kCut}));
}

TEST_CASE("rounds on log-probabilities train the text encoder as plain autograd does, under the present encoder") {
  using namespace text_encoder_test;
  const auto compare = [](auto tuner) {
    using Tuner = decltype(tuner);
    TextToy pipeline = disturbed();
    Rng rng(5), same(5);
    const Round round = tuner.sample(pipeline, kPrompts, rng);
    pipeline.disturb(11, 0.02);
    const auto mine = train(tuner, pipeline, round).steps.at(0);
    // one graph: encoder, network, density and objective
    const SampleNoise noise = SampleNoise::draw(4, same);  // AllSteps draws nothing before
    const Condition condition = explored(tuner, pipeline, noise);
    const Transitions& t = round.transitions;
    REQUIRE(t.size() == 4);
    std::vector<Tensor> log_probs, old, reference, drift, pulls;
    std::vector<double> advantages;
    for (const int k : t.steps()) {
      const Tensor x = t.latent(k), next = t.latent(k + 1);  // [4,C,h,w]
      const double w = t.setup.guidance(k);
      const auto [u, c] = plain_outputs(pipeline, x, t.setup.schedule.timestep(k), condition, w);
      const Tensor h = u + w * (c - u);
      Tensor ru, rc;
      {
        const torch::NoGradGuard no_grad;
        const auto scope = pipeline.reference_scope();
        std::tie(ru, rc) = plain_outputs(pipeline, x, t.setup.schedule.timestep(k), condition.reference(), w);
      }
      const Tensor rh = ru + w * (rc - ru);
      const std::vector<int> steps(4, k);
      log_probs.push_back(transition_log_probs(t.setup.schedule, steps, x, h, next, LogProbReduction::kMean));
      reference.push_back(transition_log_probs(t.setup.schedule, steps, x, rh, next, LogProbReduction::kMean));
      drift.push_back((h - rh).square().flatten(1).mean(1));
      pulls.push_back(0.5 * ((u - ru).square().mean() + (c - rc).square().mean()));
      old.push_back(t.log_prob(k));
      advantages.insert(advantages.end(), round.weights.begin(), round.weights.end());
    }
    const PolicyRows rows{at::cat(log_probs), at::cat(old), at::tensor(advantages, at::kDouble), at::cat(reference),
                          at::cat(drift)};
    const typename Tuner::Objective objective(tuner.options().objective);
    const Tensor weights = at::tensor(
        step_weights(t.setup.schedule, t.steps(), tuner.options().objective.round.step_weights), at::kDouble);  // [K]
    Tensor loss = (objective.losses(rows) * weights.repeat_interleave(4)).mean();  // 4 images a step
    if constexpr (std::is_same_v<typename Tuner::Regularizer, KlToReference>)
      loss = loss + tuner.options().regularizer.weight * at::stack(pulls).mean();
    auto parameters = pipeline.parameters();
    const auto truth = torch::autograd::grad({loss}, {parameters.begin(), parameters.end()});
    CHECK(truth.back().abs().max().template item<double>() > 0);
    CHECK(distance(mine, truth) < 1e-9);
  };
  for (const EngineOptions& engine : {kWhole, kCut})
    for (const double guidance : {1.0, 3.0}) {
      compare(make<DDPO>(black_box_brightness(), {.sampler = {.num_steps = 4, .guidance = guidance},
                                                  .objective = {.clip = 0.9, .round = {.updates_per_epoch = 1}},
                                                  .engine = engine}));
      compare(make<PolicyGradient, KlToReference, PromptWeighting>(
          black_box_brightness(), {.sampler = {.num_steps = 4, .guidance = guidance},
                                   .exploration = {.low = 1.1, .high = 2, .span = {.updates = 100}},
                                   .regularizer = {.weight = 0.7},
                                   .engine = engine}));
    }
}

TEST_CASE("rounds' gradient is the slope of the reported loss, for every objective, regularizer and target") {
  using namespace text_encoder_test;
  const auto check = [](auto tuner) { CHECK(round_slope_error(std::move(tuner)) < 1e-6); };
  for (const EngineOptions& engine : {kWhole, kCut}) {
    check(make<DDPO>(black_box_brightness(),
                     {.sampler = {.num_steps = 4, .guidance = 3.0},
                      .objective = {.clip = 0.9, .round = {.samples_per_prompt = 2, .updates_per_epoch = 1}},
                      .engine = engine}));
    for (const RatioTarget target : {RatioTarget::kExplored, RatioTarget::kPlain})
      check(make<DDPO, PromptWeighting, KlToReference>(
          black_box_brightness(),
          {.sampler = {.num_steps = 4, .guidance = 3.0},
           .exploration = {.low = 1.1, .high = 2, .span = {.updates = 100}},
           .objective = {.clip = 0.9, .round = {.samples_per_prompt = 2, .updates_per_epoch = 1, .target = target}},
           .regularizer = {.weight = 0.7},
           .engine = engine}));
    check(make<DPOK>(black_box_brightness(), {.sampler = {.num_steps = 4, .guidance = 3.0},
                                              .objective = {.clip = 0.9, .round = {.updates_per_epoch = 1}},
                                              .engine = engine}));
    check(make<DPO>(black_box_brightness(), {.sampler = {.num_steps = 4, .guidance = 3.0}, .engine = engine}));
    check(make<B2DiffuRL, PromptWeighting>(black_box_brightness(),
                                           {.sampler = {.num_steps = 4, .guidance = 3.0},
                                            .steps = {.initial = 2, .rounds = 4},
                                            .exploration = {.low = 1.1, .high = 2, .span = {.updates = 100}},
                                            .objective = {.clip = 0.9, .round = {.updates_per_epoch = 1}},
                                            .engine = engine}));
    check(make<PolicyGradient, PretrainingLoss>(
        black_box_brightness(),
        {.sampler = {.num_steps = 4, .guidance = 3.0}, .regularizer = pretraining(), .engine = engine}));
    for (const bool frozen : {true, false}) {
      check(make<RewardWeightedTraining>(black_box_brightness(),
                                         {.sampler = {.num_steps = 4, .guidance = 3.0},
                                          .objective = {.frozen = frozen, .noisings = 2, .round = {.rows = 3}},
                                          .engine = engine}));
      check(make<RewardWeightedTraining, PromptWeighting, PretrainingLoss>(
          black_box_brightness(), {.sampler = {.num_steps = 4, .guidance = 3.0},
                                   .exploration = {.low = 1.1, .high = 2, .span = {.updates = 100}},
                                   .objective = {.frozen = frozen},
                                   .regularizer = pretraining(),
                                   .engine = engine}));
    }
  }
}

TEST_CASE("denoising rounds train the text encoder as plain autograd does") {
  using namespace text_encoder_test;
  const auto tuner =
      make<RewardWeightedTraining>(black_box_brightness(), {.sampler = {.num_steps = 4, .guidance = 3.0},
                                                            .objective = {.weighting = RewardWeighting::kExponential},
                                                            .engine = kCut});
  TextToy pipeline = disturbed();
  Rng rng(5), same(3);
  auto sampling = tuner;
  const Round round = sampling.sample(pipeline, kPrompts, rng);
  pipeline.disturb(11, 0.02);
  const auto mine = train(tuner, pipeline, round).steps.at(0);
  REQUIRE(round.transitions.size() == 4);
  const Transitions& t = round.transitions;
  std::vector<std::int64_t> times;
  for (std::int64_t i = 0; i < t.size(); ++i) times.push_back(same.integer(0, 999));
  const Tensor noise = same.normal(t.clean.sizes(), t.clean.options());
  const Tensor errors =
      denoising_errors(pipeline, t.clean, times, noise, pipeline.encode(t.setup.condition.prompts).positive);
  const Tensor loss = (at::tensor(round.weights, at::kDouble) * errors).mean();
  auto parameters = pipeline.parameters();
  const auto truth = torch::autograd::grad({loss}, {parameters.begin(), parameters.end()});
  CHECK(truth.back().abs().max().item<double>() > 0);
  CHECK(distance(mine, truth) < 1e-10);
}

TEST_CASE("reward-weighted rounds of the untuned network are sampled under the untuned text encoder") {
  using namespace text_encoder_test;
  auto tuner = make<RewardWeightedTraining>(
      black_box_brightness(), {.sampler = {.num_steps = 4, .guidance = 3.0}, .objective = {.frozen = true}});
  TextToy untuned, moved = disturbed();
  Rng one(5), two(5);
  const Round first = tuner.sample(untuned, kPrompts, one), second = tuner.sample(moved, kPrompts, two);
  CHECK(first.transitions.clean.equal(second.transitions.clean));
}

TEST_CASE("the second optimizer step of a round is taken under the text encoder that the first one left") {
  using namespace text_encoder_test;
  struct Descent : StepRecorder {
    void step() {
      StepRecorder::step();
      const torch::NoGradGuard no_grad;
      for (Tensor& p : held) p.add_(p.grad(), -0.05);
    }
  };
  const auto tuner = [](int epochs) {
    return make<DDPO>(black_box_brightness(),
                      {.sampler = {.num_steps = 4, .guidance = 3.0},
                       .objective = {.clip = 0.9, .round = {.epochs = epochs, .updates_per_epoch = 1}},
                       .engine = kWhole});
  };
  TextToy pipeline = disturbed();
  Rng rng(5);
  auto once = tuner(1), twice = tuner(2);
  const Round round = twice.sample(pipeline, kPrompts, rng);
  const std::vector<Tensor> before = copies(pipeline.parameters());
  Descent both{{pipeline.parameters()}};
  twice.train(pipeline, both, round, rng);
  REQUIRE(both.steps.size() == 2);
  {
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < before.size(); ++i)
      pipeline.parameters()[i].copy_(before[i]).add_(both.steps[0][i], -0.05);
  }
  CHECK(distance(train(once, pipeline, round).steps.at(0), both.steps[1]) < 1e-12);
}

TEST_CASE("the first ratio is 1, and several tasks send their gradients and the pre-training loss's to the encoder") {
  using namespace text_encoder_test;
  const auto tuner =
      make<DDPO>(black_box_brightness(), {.sampler = {.num_steps = 4, .guidance = 3.0},
                                          .objective = {.round = {.samples_per_prompt = 2, .updates_per_epoch = 1}},
                                          .engine = kWhole});
  TextToy pipeline = disturbed();
  Rng rng(5), same(5);
  StepRecorder alone{pipeline.parameters()}, joint{pipeline.parameters()};
  auto single = tuner;
  const UpdateReport report = single.update(pipeline, alone, kPrompts, same);
  CHECK(report.ratio_deviation == 0);
  MultiTaskOptions options;
  options.pretraining = pretraining();
  options.gradient_clip = 0;
  auto tasks = multi_task(options, task("one", tuner));
  tasks.update(pipeline, joint, kPrompts, rng);
  REQUIRE(joint.steps.size() == 2);
  CHECK(distance(joint.steps[0], alone.steps.at(0)) < 1e-12);
  auto parameters = pipeline.parameters();
  const Tensor loss = PretrainingLoss(pretraining()).own_loss(pipeline, same);
  const auto truth = torch::autograd::grad({loss}, {parameters.begin(), parameters.end()});
  CHECK(truth.back().abs().max().item<double>() > 0);
  CHECK(distance(joint.steps[1], truth) < 1e-12);
}

TEST_CASE("a text encoder that is not trained is encoded once an update, and its gradients' numbers do not change") {
  using namespace text_encoder_test;
  const auto tuner = make<DDPO, KlToReference>(black_box_brightness(), {.sampler = {.num_steps = 4, .guidance = 3.0},
                                                                        .objective = {.round = {.epochs = 2}},
                                                                        .regularizer = {.weight = 0.7}});
  TextToy frozen(false);
  auto own = tuner;
  StepRecorder optimizer{frozen.parameters()};
  Rng rng(5);
  own.update(frozen, optimizer, kPrompts, rng);
  CHECK(frozen.encodings == 1);
  DRTune<ToyReward, KlToReference> direct(
      ToyReward(), {.sampler = {.num_steps = 4}, .steps = {.num_trained = 2}, .regularizer = {.weight = 0.7}});
  direct.update(frozen, optimizer, kPrompts, rng);
  CHECK(frozen.encodings == 2);
}

TEST_CASE("LoRAs on UNet and text encoder of a Stable Diffusion: plain autograd, checkpointed blocks or not") {
  using namespace text_encoder_test;
  const TemporaryFolder folder;
  write_tiny_model(folder / "model", REWARD_TUNER_TEST_DATA "/tokenizer");
  for (const bool checkpointed : {false, true}) {
    WithLoras pipeline(StableDiffusion::load(folder / "model", {.dtype = at::kDouble, .negative_prompt = "a square"}),
                       {{"text_encoder", {"q_proj", "k_proj", "v_proj", "out_proj"}}});
    check_direct_methods(pipeline, {.micro_batch = 3, .gradient_clip = 0, .activation_checkpointing = checkpointed});
  }
}

TEST_CASE("LoRAs on SDXL's text encoders, through the states of both and the pooled embedding: plain autograd") {
  using namespace text_encoder_test;
  const TemporaryFolder folder;
  write_tiny_model(folder / "model", REWARD_TUNER_TEST_DATA "/tokenizer", 0, PipelineFamily::kStableDiffusionXL);
  const std::vector<std::string> inner = {"layers.0.self_attn.q_proj", "layers.0.mlp.fc1"},
                                 whole = {"q_proj", "fc1", "text_projection"};
  const std::vector<WithLoras::Targets> all = {{{"text_encoder", inner}, {"text_encoder_2", whole}},
                                               {{"text_encoder", inner}},
                                               {{"text_encoder_2", inner}},
                                               {{"text_encoder_2", {"text_projection", "layers.1.mlp.fc1"}}}};
  for (const auto& targets : all)
    for (const std::optional<std::string>& negative :
         {std::optional<std::string>(), std::optional<std::string>("a star")}) {
      CAPTURE(targets.size());
      WithLoras pipeline(StableDiffusion::load(folder / "model", {.dtype = at::kDouble, .negative_prompt = negative}),
                         targets);
      check_direct_methods(pipeline, {.micro_batch = 3, .gradient_clip = 0});
    }
}

TEST_CASE("SDXL's gradients are the slopes of the reported loss, in every LoRA") {
  using namespace text_encoder_test;
  const TemporaryFolder folder;
  write_tiny_model(folder / "model", REWARD_TUNER_TEST_DATA "/tokenizer", 0, PipelineFamily::kStableDiffusionXL);
  WithLoras pipeline(
      StableDiffusion::load(folder / "model", {.dtype = at::kDouble, .crop = ImagePoint{3, 5}}),
      {{"text_encoder", {"layers.0.self_attn.v_proj"}}, {"text_encoder_2", {"v_proj", "text_projection"}}});
  const RewardTuner<ToyReward, AllSteps, PassInput, PromptWeighting> tuner(
      ToyReward(), {.sampler = {.num_steps = 3, .guidance = 3.0},
                    .exploration = {.low = 1.1, .high = 2, .span = {.updates = 100}},
                    .engine = kCut});
  const auto run = [&] {
    auto fresh = tuner;
    StepRecorder optimizer{pipeline.parameters()};
    Rng rng(5);
    const double loss = fresh.update(pipeline, optimizer, kPrompts, rng).loss;
    return std::pair(loss, optimizer.steps.at(0));
  };
  const auto gradients = run().second;
  REQUIRE(gradients.size() == pipeline.all.size());
  for (std::size_t i = gradients.size() - 8; i < gradients.size(); ++i) {  // the text encoders': four layers, A and B
    CAPTURE(i);
    Tensor w = pipeline.all[i].detach().view({-1});
    const Tensor slopes = gradients[i].view({-1});
    const double at = w[1].item<double>(), step = 1e-5;
    const auto there = [&](double value) {
      w[1] = value;
      const double result = run().first;
      w[1] = at;
      return result;
    };
    CHECK(slopes.abs().max().item<double>() > 0);
    CHECK((there(at + step) - there(at - step)) / (2 * step) ==
          doctest::Approx(slopes[1].item<double>()).epsilon(1e-5).scale(slopes.abs().max().item<double>()));
  }
}
