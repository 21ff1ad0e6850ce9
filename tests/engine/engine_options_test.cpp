// Every way to run an update gives the plain one's gradient, or one as near as its precision: retained graphs, replays
// in batches, chunks, merged and apart, checkpoints, bfloat16. On a real network with a LoRA, for a stopped and a
// passed gradient.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/draft_lv.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>

#include <tests/reference/tiny_folder.hpp>
#include <tests/reference/toy_pipeline.hpp>
#include <tests/reference/toy_reward.hpp>

namespace engine_options_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

/// An optimizer that only remembers the gradients.
struct Recorder {
  std::vector<Tensor> held, gradients = {};
  const std::vector<Tensor>& parameters() const { return held; }
  void zero_grad() {
    for (Tensor& p : held) p.mutable_grad().reset();
  }
  void step() {
    for (const Tensor& p : held) gradients.push_back(p.grad().clone());
  }
};

struct Run {
  Tensor gradient;  // all of it, flat
  UpdateReport report;
};

/// One update of the tiny model with a LoRA whose B is not zero.
template <class Tuner>
Run run(const std::filesystem::path& folder, typename Tuner::Options options, EngineOptions engine,
        at::ScalarType dtype = at::kFloat) {
  auto pipeline = StableDiffusion::load(folder, {.dtype = dtype});
  const auto lora = Lora::attach(pipeline.unet(), {.rank = 2, .targets = {"all"}});
  {
    const torch::NoGradGuard no_grad;
    Rng rng(8);
    for (auto& [name, value] : lora.named_parameters())
      if (name.ends_with("lora_B.weight")) value.copy_(rng.normal(value.sizes()) * 0.05);
  }
  Recorder optimizer{lora.parameters()};
  engine.gradient_clip = 0;
  options.engine = engine;
  options.sampler.num_steps = 6;
  options.sampler.guidance = 3.0;
  Rng rng(2);
  const auto report =
      Tuner(ToyReward(), options).update(pipeline, optimizer, {"a red circle", "a star", "two squares"}, rng);
  std::vector<Tensor> flat;
  for (const Tensor& g : optimizer.gradients) flat.push_back(g.flatten().to(at::kDouble));
  return {at::cat(flat), report};
}

double error(const Run& a, const Run& b) {
  return ((a.gradient - b.gradient).norm() / b.gradient.norm()).item<double>();
}
double cosine(const Run& a, const Run& b) {
  return ((a.gradient * b.gradient).sum() / (a.gradient.norm() * b.gradient.norm())).item<double>();
}

struct Model {
  TemporaryFolder folder;
  Model() { write_tiny_model(folder.path() / "model", std::filesystem::path(REWARD_TUNER_TEST_DATA) / "tokenizer"); }
  std::filesystem::path path() const { return folder.path() / "model"; }
};

template <class Tuner>
void check_exact(const Model& model, const typename Tuner::Options& options, bool batches) {
  const Run plain = run<Tuner>(model.path(), options, {}, at::kDouble);
  const auto same = [&](const char* what, EngineOptions engine, double bound) {
    const Run other = run<Tuner>(model.path(), options, engine, at::kDouble);
    MESSAGE(what, ": ", error(other, plain));
    CHECK(error(other, plain) < bound);
    CHECK(other.report.loss == doctest::Approx(plain.report.loss).epsilon(1e-9));
    // three prompts are two micro-batches
    CHECK(other.report.backwards == plain.report.backwards * (engine.micro_batch == 2 ? 2 : 1));
    return other.report;
  };
  const auto kept = same("retained graphs", {.memory = Memory::kRetain}, 1e-12);
  CHECK(kept.forwards == plain.report.forwards - plain.report.backwards);  // no second forward of a trained step
  if (batches) {
    same("two steps a replay", {.replay_batch = 2}, 1e-12);
    same("all steps a replay", {.replay_batch = 100}, 1e-12);
  }
  same("one image a decode", {.decode_batch = 1}, 1e-12);
  same("adapters apart", {.merge_adapters = false}, 1e-10);  // another order of the same products
  same("activation checkpointing", {.activation_checkpointing = true}, 1e-12);
  same("checkpointing of retained graphs, in micro-batches and chunks",
       {.micro_batch = 2, .memory = Memory::kRetain, .decode_batch = 1, .activation_checkpointing = true}, 1e-12);
}

}  // namespace
}  // namespace engine_options_test

TEST_CASE("engine options that only move work leave the gradient as it is, in double") {
  using namespace engine_options_test;
  const Model model;
  check_exact<DRTune<ToyReward>>(model, {.steps = {.num_trained = 3, .max_early_stop = 0}}, true);
  check_exact<DRaFT<ToyReward>>(model, {.steps = {.num_trained = 3}}, false);
  check_exact<DRaFTLV<ToyReward>>(model, {.steps = {.num_noises = 2}}, false);
}

TEST_CASE("bfloat16 rollouts keep the gradient's direction, autocast roughly, and both are off by default") {
  using namespace engine_options_test;
  const Model model;
  const DRTune<ToyReward>::Options options{.steps = {.num_trained = 3, .max_early_stop = 0}};
  const auto update = [&](EngineOptions engine) { return run<DRTune<ToyReward>>(model.path(), options, engine); };
  const Run plain = update({});
  for (const auto memory : {Memory::kReplay, Memory::kRetain}) {
    const Run low = update({.memory = memory, .rollout_dtype = at::kBFloat16});
    MESSAGE("bfloat16 rollout: cosine ", cosine(low, plain), ", loss ", low.report.loss, " for ", plain.report.loss);
    CHECK(cosine(low, plain) > 0.999);
    CHECK(low.report.loss == doctest::Approx(plain.report.loss).epsilon(0.01));
    CHECK(error(low, plain) > 1e-6);  // it really is another precision
    const Run cast = update({.memory = memory, .autocast = at::kBFloat16});
    MESSAGE("autocast: cosine ", cosine(cast, plain), ", loss ", cast.report.loss);
    CHECK(cosine(cast, plain) > 0.99);
    CHECK(error(cast, plain) > 1e-5);
    const Run both = update({.memory = memory, .rollout_dtype = at::kBFloat16, .autocast = at::kBFloat16});
    MESSAGE("bfloat16 rollout, autocast of the trained steps: cosine ", cosine(both, plain), ", loss ",
            both.report.loss);
    CHECK(cosine(both, plain) > 0.99);
    CHECK(error(both, low) > 1e-5);
    // the adjoint passes a bfloat16 graph's input
    const auto through = [&](EngineOptions engine) {
      return run<DRaFT<ToyReward>>(model.path(), {.steps = {.num_trained = 3}}, engine);
    };
    const Run passing = through({.memory = memory, .autocast = at::kBFloat16});
    MESSAGE("autocast through three steps: cosine ", cosine(passing, through({})));
    CHECK(cosine(passing, through({})) > 0.99);
  }
}

TEST_CASE("a budget retains what fits, later updates as the first one measured, with the gradient of a replay") {
  using namespace engine_options_test;
  const Model model;
  const auto check = [&]<class Tuner>(typename Tuner::Options options, const std::string& what, bool divisible = true) {
    INFO(what);
    auto pipeline = StableDiffusion::load(model.path(), {.dtype = at::kDouble});
    const auto lora = Lora::attach(pipeline.unet(), {.rank = 2, .targets = {"all"}});
    {
      const torch::NoGradGuard no_grad;
      Rng rng(8);
      for (auto& [name, value] : lora.named_parameters())
        if (name.ends_with("lora_B.weight")) value.copy_(rng.normal(value.sizes(), value.options()) * 0.05);
    }
    options.sampler.num_steps = 6;
    options.sampler.guidance = 3.0;
    options.engine.gradient_clip = 0;
    const auto tuner = [&](Memory memory, const TunerState& state = {}) {
      auto own = options;
      own.engine.memory = memory;
      if (memory == Memory::kRetain) own.engine.replay_batch = 1;
      Tuner out(ToyReward(), own);
      out.load_state(state);
      return out;
    };
    const auto update = [&](Tuner& of) {  // always the same one
      Recorder optimizer{lora.parameters()};
      Rng rng(2);
      const auto report = of.update(pipeline, optimizer, {"a red circle", "a star", "two squares"}, rng);
      std::vector<Tensor> flat;
      for (const Tensor& g : optimizer.gradients) flat.push_back(g.flatten());
      return Run{at::cat(flat), report};
    };
    Tuner replaying = tuner(Memory::kReplay), retaining = tuner(Memory::kRetain);
    const Run plain = update(replaying), all = update(retaining);
    CHECK(plain.report.retained == 0);
    CHECK(all.report.retained == plain.report.backwards);
    const std::int64_t least = plain.report.peak_tensor_bytes, most = all.report.peak_tensor_bytes;
    int between = 0;
    for (const std::int64_t bytes : {least / 2, least + (most - least) / 2, most + most / 8}) {
      INFO("a budget of " << bytes << ", a replay takes " << least << " and all graphs " << most);
      Tuner within = tuner(Memory::budget(bytes));
      const Run first = update(within), second = update(within), third = update(within);
      CHECK(first.report.retained == 0);
      CHECK(second.report.retained == third.report.retained);
      CHECK(second.report.peak_tensor_bytes <= std::max(bytes, least));
      CHECK(second.report.forwards == plain.report.forwards - second.report.retained);
      for (const Run* each : {&first, &second, &third}) {
        CHECK(error(*each, plain) < 1e-12);
        CHECK(each->report.backwards == plain.report.backwards);
      }
      if (bytes < least) CHECK(second.report.retained == 0);
      else if (bytes > most) CHECK(second.report.retained == plain.report.backwards);
      else if (second.report.retained > 0 && second.report.retained < plain.report.backwards) ++between;
      // a resumed run does not measure again
      Tuner resumed = tuner(Memory::budget(bytes), within.state());
      CHECK(update(resumed).report.retained == second.report.retained);
    }
    if (divisible) CHECK(between == 1);  // some of the steps of a rollout, not all
  };
  using Stopped = DRTune<ToyReward>;
  const typename Stopped::Options four{.steps = {.num_trained = 4, .max_early_stop = 0}};
  check.operator()<Stopped>(four, "stopped");
  const auto with = [&](EngineOptions engine) {
    auto options = four;
    options.engine = engine;
    return options;
  };
  check.operator()<Stopped>(with({.replay_batch = 2}), "two steps a replay");
  check.operator()<Stopped>(with({.micro_batch = 2}), "micro-batches");
  check.operator()<Stopped>(with({.decode_batch = 1, .activation_checkpointing = true}), "checkpointed");
  check.operator()<DRaFT<ToyReward>>({.steps = {.num_trained = 4}}, "passed");
  check.operator()<DRaFTLV<ToyReward>>({.steps = {.num_noises = 2}}, "replicas", false);
}

TEST_CASE("activation checkpointing and chunks lower the peak, retained graphs raise it") {
  using namespace engine_options_test;
  const Model model;
  const auto peak = [&](int trained, EngineOptions engine) {
    return static_cast<double>(
        run<DRTune<ToyReward>>(model.path(), {.steps = {.num_trained = trained, .max_early_stop = 0}}, engine)
            .report.peak_tensor_bytes);
  };
  const double plain = peak(4, {}), chunks = peak(4, {.decode_batch = 1}),
               small = peak(4, {.decode_batch = 1, .activation_checkpointing = true}),
               kept = peak(4, {.memory = Memory::kRetain}),
               least = peak(4, {.micro_batch = 1, .decode_batch = 1, .activation_checkpointing = true});
  MESSAGE("peak in chunks ", chunks / plain, ", checkpointed as well ", small / plain,
          ", in micro-batches of one as well ", least / plain, ", retained ", kept / plain);
  CHECK(least < small);
  CHECK(small < chunks);
  CHECK(chunks <= plain);
  CHECK(kept > 1.5 * plain);
  CHECK(std::abs(peak(6, {}) / peak(2, {}) - 1) < 0.05);  // replays are flat in K
}

TEST_CASE("options that contradict one another or that the pipeline cannot follow are named errors") {
  using namespace engine_options_test;
  const auto refused = [](EngineOptions engine, const char* sentence) {
    CHECK_THROWS_WITH_AS(DRTune<ToyReward>(ToyReward(), {.engine = engine}), doctest::Contains(sentence), Error);
  };
  refused({.replay_batch = 0}, "engine.replay_batch must be >= 1, got 0");
  refused({.memory = Memory::kRetain, .replay_batch = 2},
          "engine.replay_batch 2 cannot be combined with Memory::kRetain");
  refused({.memory = Memory::budget(0)}, "engine.memory expected Memory::budget of at least a byte, got 0");
  refused({.memory = Memory::budget(-5)}, "engine.memory expected Memory::budget of at least a byte, got -5");
  refused({.decode_batch = -1}, "engine.decode_batch must be >= 0");
  refused({.rollout_dtype = at::kDouble}, "engine.rollout_dtype expected bfloat16 or half, got Double");
  refused(
      {.autocast = at::kFloat},
      "engine.autocast expected bfloat16 (float16 is a type of frozen weights here, StableDiffusionOptions::dtype), "
      "got Float");
  refused({.autocast = at::kHalf}, "engine.autocast expected bfloat16");
  refused({.rollout_dtype = at::kHalf, .autocast = at::kBFloat16},
          "expected one type if both are set, got Half and BFloat16");
  refused({.merge_adapters = false, .rollout_dtype = at::kBFloat16},
          "engine.merge_adapters = false cannot be combined with engine.rollout_dtype");

  ToyPipeline toy;
  Recorder optimizer{toy.parameters()};
  Rng rng(1);
  const auto cannot = [&](EngineOptions engine, const char* sentence) {
    DRTune<ToyReward> tuner(ToyReward(), {.sampler = {.num_steps = 4}, .steps = {.num_trained = 1}, .engine = engine});
    CHECK_THROWS_WITH_AS(tuner.update(toy, optimizer, {"a"}, rng), doctest::Contains(sentence), Error);
  };
  cannot({.autocast = at::kBFloat16}, "engine.autocast casts float32 only; this pipeline is one of double");
  cannot({.rollout_dtype = at::kBFloat16}, "need a pipeline with rollout_scope(RolloutMode)");
  cannot({.merge_adapters = false}, "need a pipeline with rollout_scope(RolloutMode)");
  cannot({.activation_checkpointing = true}, "needs a pipeline with activation_checkpoint_scope()");
}
