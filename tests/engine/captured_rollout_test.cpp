// Rollouts whose network calls are recorded and replayed: the plain rollout's bits, for every sampler, guidance and
// kind of rollout, over updates that change the weights; and the sentences of where nothing is recorded. By a recorder
// on the CPU with the rules of a CUDA graph.
#include <doctest/doctest.h>

#include <ATen/ops/cat.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/note.hpp>
#include <reward_tuner/engine/configured_pipeline.hpp>
#include <reward_tuner/engine/rollout.hpp>
#include <reward_tuner/exploration/dynamic_guidance.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/dpok.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/samplers/any_sampler.hpp>
#include <reward_tuner/samplers/flow_euler.hpp>

#include <tests/reference/operator_recorder.hpp>
#include <tests/reference/tiny_folder.hpp>
#include <tests/reference/toy_pipeline.hpp>
#include <tests/reference/toy_reward.hpp>

namespace captured_rollout_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

struct Model {
  TemporaryFolder folder;
  Model() { write_tiny_model(folder.path() / "model", std::filesystem::path(REWARD_TUNER_TEST_DATA) / "tokenizer"); }
  StableDiffusion load() const { return StableDiffusion::load(folder.path() / "model"); }
};

/// A LoRA whose B is not zero.
Lora adapted(StableDiffusion& pipeline) {
  auto lora = Lora::attach(pipeline.unet(), {.rank = 2, .targets = {"all"}});
  const torch::NoGradGuard no_grad;
  Rng rng(8);
  for (auto& [name, value] : lora.named_parameters())
    if (name.ends_with("lora_B.weight")) value.copy_(rng.normal(value.sizes()) * 0.05);
  return lora;
}

/// Every latent of a rollout with low guidance in its first steps.
std::vector<Tensor> path(StableDiffusion& pipeline, const SamplerSchedule& schedule,
                         const std::vector<std::string>& prompts, const EngineOptions& engine) {
  ConfiguredPipeline<StableDiffusion> configured(pipeline, engine);
  RolloutSetup setup = sampling_setup(schedule, configured.encode(prompts), 4.0);
  setup.guidance(0) = setup.guidance(1) = 1.0;
  SampleNoise noise(std::vector<std::uint64_t>(prompts.size(), 3));
  NetworkCounts counts;
  std::vector<Tensor> out;
  rollout(configured, std::move(setup), noise, counts,
          {.observer = [&](const RolloutStep& step) { out.push_back(step.next); }});  // no copy: none is written over
  return out;
}

void check_equal(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CAPTURE(i);
    CHECK(a[i].equal(b[i]));
  }
}

const std::vector<std::vector<std::string>> kPrompts = {
    {"a red circle", "a star"}, {"two squares", "a blue star"}, {"a star"}, {"a red circle", "a star"}};

/// Trained weights and losses after updates over kPrompts, whose sizes differ.
struct Trained {
  std::vector<Tensor> weights = {};
  std::vector<double> losses = {};
  std::vector<CaptureCounts> counts = {};
};

using Train = std::function<std::vector<Tensor>(StableDiffusion&)>;

template <class Tuner>
Trained train(const Model& model, typename Tuner::Options options, const Train& trained, bool capture) {
  StableDiffusion pipeline = model.load();
  const std::vector<Tensor> weights = trained(pipeline);
  AdamW optimizer(weights, {.learning_rate = 1e-2});
  options.sampler.num_steps = 6;
  options.sampler.guidance = 3.0;
  options.engine.capture_rollout = capture;
  Tuner tuner(ToyReward(), options);
  Rng rng(2);
  Trained out;
  for (const auto& prompts : kPrompts) {
    out.losses.push_back(tuner.update(pipeline, optimizer, prompts, rng).loss);
    out.counts.push_back(pipeline.capture_counts());
  }
  for (const Tensor& w : weights) out.weights.push_back(w.detach().clone());
  return out;
}

template <class Tuner>
void same_training(
    const char* what, const Model& model, const typename Tuner::Options& options,
    const Train& trained = [](StableDiffusion& p) {
      static std::vector<Lora> kept;
      return kept.emplace_back(adapted(p)).parameters();
    }) {
  CAPTURE(what);
  const Trained plain = train<Tuner>(model, options, trained, false);
  const OperatorRecorder recorder;
  const Trained captured = train<Tuner>(model, options, trained, true);
  check_equal(captured.weights, plain.weights);
  CHECK(captured.losses == plain.losses);
  CHECK(plain.counts.back().recorded == 0);
  MESSAGE(what, ": ", captured.counts[0].recorded, " and ", captured.counts.back().recorded, " recordings, ",
          captured.counts.back().replayed, " replayed calls, ", captured.counts.back().plain, " plain");
  CHECK(captured.counts[0].recorded >= 1);
  // weights change where they are: equal sizes need no other recording, two samples and one are two forms
  CHECK(captured.counts[1].recorded == captured.counts[0].recorded);
  CHECK(captured.counts[3].recorded == captured.counts[2].recorded);
  CHECK(captured.counts[3].replayed > captured.counts[2].replayed);
  CHECK(captured.counts[3].plain == captured.counts[2].plain);
}

}  // namespace
}  // namespace captured_rollout_test

TEST_CASE("a captured rollout has the plain one's bits, for every sampler, with guidance that changes on the way") {
  using namespace captured_rollout_test;
  const Model model;
  auto plain = model.load(), captured = model.load();
  const Lora one = adapted(plain), other = adapted(captured);
  const OperatorRecorder recorder;
  std::vector<SamplerSchedule> schedules;
  for (const char* name : {"ddim", "ddpm", "dpm++", "sde-dpm++", "euler", "euler-ancestral"})
    schedules.push_back(AnySampler({.name = name, .num_steps = 6}).schedule(plain.noise_schedule()));
  schedules.push_back(Ddim({.num_steps = 6, .eta = 1.0}).schedule(plain.noise_schedule()));
  schedules.push_back(FlowEuler({.num_steps = 6}).schedule(NoiseSchedule({.prediction = PredictionType::kFlow})));
  for (std::size_t i = 0; i < schedules.size(); ++i) {
    CAPTURE(i);
    const std::int64_t replayed = captured.capture_counts().replayed;
    for (const auto& prompts : kPrompts)
      check_equal(path(captured, schedules[i], prompts, {.capture_rollout = true}),
                  path(plain, schedules[i], prompts, {}));
    CHECK(captured.capture_counts().replayed - replayed >= 18);
  }
  CHECK(plain.capture_counts().replayed == 0);
  // one and two samples, each with and without the other half of guidance; whole timesteps and those between
  CHECK(captured.capture_counts().recorded <= 8);
}

TEST_CASE("rows of several scales, and calls beside a rollout, are the plain ones") {
  using namespace captured_rollout_test;
  const Model model;
  auto pipeline = model.load();
  const Lora lora = adapted(pipeline);
  const OperatorRecorder recorder;
  const torch::NoGradGuard no_grad;
  const Condition condition = pipeline.encode({"a red circle", "a star", "two squares"});
  const auto rows = [&](std::uint64_t seed) {
    Rng rng(seed);
    return RowInputs{rng.normal(pipeline.latent_shape(3)),
                     {100, 500 + static_cast<double>(seed), 900},
                     {1.0, 3.0 + static_cast<double>(seed), 7.0},
                     condition.positive,
                     condition.negative};
  };
  NetworkCounts counts;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    Tensor wanted, got;
    {
      const auto scope = pipeline.rollout_scope();
      wanted = row_call(pipeline, rows(seed), counts).guided;
    }
    {
      const auto scope = pipeline.rollout_scope({.capture = true});
      got = row_call(pipeline, rows(seed), counts).guided;
      {  // the untuned network in the middle of it
        const auto reference = pipeline.reference_scope();
        const Tensor untuned = row_call(pipeline, rows(seed), counts).raw;
        CHECK_FALSE(untuned.equal(row_call(pipeline, rows(seed + 1), counts).raw));
        CHECK(untuned.equal(row_call(pipeline, rows(seed), counts).raw));
      }
      const torch::AutoGradMode grad(true);
      CHECK(row_call(pipeline, rows(seed), counts).raw.requires_grad());
    }
    CHECK(got.equal(wanted));
  }
  CHECK(pipeline.capture_counts().recorded == 2);
  const std::int64_t calls = pipeline.capture_counts().replayed;
  pipeline.predict(rows(0).latents, rows(0).times(), condition.positive);
  CHECK(pipeline.capture_counts().replayed == calls);
}

TEST_CASE("updates with captured rollouts train the same weights to the bit, and recordings outlive the updates") {
  using namespace captured_rollout_test;
  const Model model;
  using Direct = DRTune<ToyReward>;
  const auto direct = [](const EngineOptions& engine) {
    return Direct::Options{.steps = {.num_trained = 2, .max_early_stop = 0}, .engine = engine};
  };
  same_training<Direct>("merged", model, direct({}));
  same_training<Direct>("apart", model, direct({.merge_adapters = false}));
  same_training<Direct>("retained", model, direct({.memory = Memory::kRetain}));
  same_training<Direct>("bfloat16", model, direct({.rollout_dtype = at::kBFloat16}));
  same_training<Direct>("autocast", model, direct({.autocast = at::kBFloat16}));
  same_training<Direct>("checkpointed", model, direct({.activation_checkpointing = true}));
  same_training<DDPO<ToyReward>>("DDPO", model, {});
  same_training<DPOK<ToyReward>>("DPOK", model, {});
  same_training<Direct>("full tuning", model, direct({}), [](StableDiffusion& p) { return p.train_unet(); });
}

TEST_CASE("offload and a measured choice of attention go with captured rollouts") {
  using namespace captured_rollout_test;
  const Model model;
  const auto prepared = [&] {
    auto pipeline = model.load();
    pipeline.set_idle_parts(std::make_shared<IdleParts>([](const Tensor& resting) { return resting.clone(); }));
    pipeline.set_attention_choice(
        std::make_shared<AttentionChoice>([](AttentionKernel kernel, at::Device, const std::function<void()>& run) {
          CHECK_FALSE(RecordingScope::now());
          run();
          return kernel == AttentionKernel::kMath ? 1.0 : 2.0;
        }));
    return pipeline;
  };
  auto plain = prepared(), captured = prepared();
  const OperatorRecorder recorder;
  const auto schedule = Ddim({.num_steps = 5}).schedule(plain.noise_schedule());
  for (int i = 0; i < 2; ++i)
    check_equal(path(captured, schedule, kPrompts[0], {.capture_rollout = true}),
                path(plain, schedule, kPrompts[0], {}));
  CHECK(captured.capture_counts().recorded == 2);
  CHECK(captured.attention_choice()->measured().size() == plain.attention_choice()->measured().size());
}

TEST_CASE("where nothing can be captured rollouts run as ever, and one sentence says why") {
  using namespace captured_rollout_test;
  const Model model;
  std::vector<std::string> said;
  const NoteScope notes([&](const std::string& text) { said.push_back(text); });
  auto pipeline = model.load(), plain = model.load();
  const auto schedule = Ddim({.num_steps = 4}).schedule(pipeline.noise_schedule());
  const auto same = [&](const EngineOptions& engine) {
    for (int i = 0; i < 2; ++i)
      check_equal(path(pipeline, schedule, kPrompts[0], engine), path(plain, schedule, kPrompts[0], {}));
  };
  same({.capture_rollout = true});
  CHECK(pipeline.capture_counts().plain == 0);
  REQUIRE(said.size() == 1);
  CHECK(said[0] ==
        "[StableDiffusion] steps of rollouts are not captured and run as without capture_rollout: expected a CUDA card "
        "and a build with REWARDTUNER_CUDA, got the device cpu and a build without");
  {
    const OperatorRecorder recorder;
    same({.memory = Memory::budget(1 << 30), .capture_rollout = true});
    CHECK(pipeline.capture_counts().recorded == 0);
  }
  REQUIRE(said.size() == 2);
  CHECK(said[1] ==
        "[RewardTuner] engine.capture_rollout has no effect with Memory::budget, which does not know the memory of "
        "recordings: expected Memory::kReplay or kRetain");
  ToyPipeline toy;
  const EngineOptions capture{.capture_rollout = true};
  const ConfiguredPipeline<ToyPipeline> configured(toy, capture);
  REQUIRE(said.size() == 3);
  CHECK(said[2] ==
        "[RewardTuner] engine.capture_rollout has no effect: expected a pipeline with rollout_scope(RolloutMode), and "
        "this one has none");
}
