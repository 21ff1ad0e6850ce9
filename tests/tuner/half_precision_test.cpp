// Frozen weights of half precision: updates equal those of float32 up to its rounding, whatever the method, and float16
// needs the scale of its gradients, which backs off, grows, and is resumed.
#include <doctest/doctest.h>

#include <ATen/ops/group_norm.h>
#include <ATen/ops/silu.h>

#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/layers/fused_kernels.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/methods/reward_weighted.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/run/captioned_images.hpp>
#include <reward_tuner/run/tuner_state_json.hpp>
#include <reward_tuner/tuner/multi_task.hpp>

#include <tests/reference/tiny_folder.hpp>
#include <tests/reference/toy_reward.hpp>

namespace half_precision_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

const std::vector<std::string> kPrompts = {"a red circle", "a star"};

/// A minuscule model folder; the VAE in the pipeline's type if `upcast` is false.
struct Model {
  TemporaryFolder folder;
  explicit Model(bool upcast = true) {
    write_tiny_model(path(), std::filesystem::path(REWARD_TUNER_TEST_DATA) / "tokenizer");
    auto vae = read_json(path() / "vae" / "config.json");
    vae["force_upcast"] = upcast;
    write_json(path() / "vae" / "config.json", vae);
  }
  std::filesystem::path path() const { return folder.path() / "model"; }
};

/// The model with LoRAs on UNet and text encoder, whose B are not zero.
struct Tuned {
  StableDiffusion pipeline;
  std::vector<Lora> loras = {};
  Tuned(const Model& model, at::ScalarType dtype) : pipeline(StableDiffusion::load(model.path(), {.dtype = dtype})) {
    loras.push_back(Lora::attach(pipeline.unet(), {.rank = 2, .targets = {"all"}}));
    loras.push_back(
        Lora::attach(pipeline.text_encoder(), {.rank = 2, .targets = {"q_proj", "v_proj"}}, "text_encoder"));
    const torch::NoGradGuard no_grad;
    Rng rng(8);
    for (const Lora& lora : loras)
      for (auto& [name, value] : lora.named_parameters())
        if (name.ends_with("lora_B.weight")) value.copy_(rng.normal(value.sizes()) * 0.05);
  }
  std::vector<Tensor> parameters() const {
    std::vector<Tensor> all;
    for (const Lora& lora : loras)
      for (const Tensor& p : lora.parameters()) all.push_back(p);
    return all;
  }
};

/// An optimizer that remembers the gradients of its steps and moves nothing.
struct Recorder {
  std::vector<Tensor> held;
  std::vector<Tensor> gradients = {};  // [numbers] of each step
  const std::vector<Tensor>& parameters() const { return held; }
  void zero_grad() {
    for (Tensor& p : held) p.mutable_grad().reset();
  }
  void step() {
    std::vector<Tensor> flat;
    for (const Tensor& p : held) {
      CHECK((!p.grad().defined() || p.grad().scalar_type() == at::kFloat));
      flat.push_back((p.grad().defined() ? p.grad() : at::zeros_like(p)).flatten().to(at::kDouble));
    }
    gradients.push_back(at::cat(flat));
  }
};

struct Run {
  Tensor gradient;  // of the first step
  UpdateReport report;
};

template <class Tuner>
Run run(const Model& model, at::ScalarType dtype, typename Tuner::Options options) {
  Tuned tuned(model, dtype);
  Recorder optimizer{tuned.parameters()};
  options.engine.gradient_clip = 0;
  options.sampler.num_steps = 4;
  options.sampler.guidance = 2.0;
  Rng rng(2);
  UpdateReport report = Tuner(ToyReward(), options).update(tuned.pipeline, optimizer, kPrompts, rng);
  return {optimizer.gradients.empty() ? Tensor() : optimizer.gradients[0], std::move(report)};
}

double cosine(const Tensor& a, const Tensor& b) { return ((a * b).sum() / (a.norm() * b.norm())).item<double>(); }

template <class Tuner>
void check(const std::string& name, const typename Tuner::Options& options, double half_bound, double bfloat_bound) {
  for (const bool upcast : {true, false}) {
    const Model model(upcast);
    const Run plain = run<Tuner>(model, at::kFloat, options), half = run<Tuner>(model, at::kHalf, options),
              bfloat = run<Tuner>(model, at::kBFloat16, options);
    CHECK(plain.report.gradient_scale == 1);
    CHECK(bfloat.report.gradient_scale == 1);
    REQUIRE_MESSAGE(!half.report.skipped, name, ": ", half.report.skip_reason);
    CHECK(half.report.gradient_scale == options.engine.gradient_scale);
    MESSAGE(name, std::string(upcast ? "" : ", VAE of half precision"), ": cosine with float32 of float16 ",
            cosine(half.gradient, plain.gradient), ", of bfloat16 ", cosine(bfloat.gradient, plain.gradient));
    CHECK_MESSAGE(cosine(half.gradient, plain.gradient) > half_bound, name);
    CHECK_MESSAGE(cosine(bfloat.gradient, plain.gradient) > bfloat_bound, name);
    CHECK(half.gradient.norm().item<double>() ==
          doctest::Approx(plain.gradient.norm().item<double>()).epsilon(0.05).scale(0));
    CHECK(half.report.gradient_norm == doctest::Approx(plain.report.gradient_norm).epsilon(0.05).scale(0));
    CHECK(half.report.loss == doctest::Approx(plain.report.loss).epsilon(0.05));
    for (std::size_t i = 0; i < plain.report.steps.size(); ++i)  // outside of the networks nothing is scaled
      CHECK(half.report.steps[i].cotangent_norm ==
            doctest::Approx(plain.report.steps[i].cotangent_norm).epsilon(0.05).scale(0));
  }
}

}  // namespace
}  // namespace half_precision_test

TEST_CASE("updates with frozen weights of half precision are those of float32 up to rounding") {
  using namespace half_precision_test;
  for (const Memory memory : {Memory::kReplay, Memory::kRetain}) {
    check<DRTune<ToyReward, KlToReference>>(
        "DRTune", {.steps = {.num_trained = 2, .max_early_stop = 0}, .engine = {.memory = memory}}, 0.999, 0.98);
    check<DRaFT<ToyReward>>("DRaFT", {.steps = {.num_trained = 2}, .engine = {.memory = memory}}, 0.999, 0.98);
  }
  check<DRTune<ToyReward>>("DRTune, checkpointed",
                           {.steps = {.num_trained = 2}, .engine = {.activation_checkpointing = true}}, 0.999, 0.98);
  check<RewardWeightedTraining<ToyReward>>("reward-weighted", {}, 0.99, 0.9);
  // taken again: the rollout's merged weights are rounded otherwise, which the clip range would notice
  check<DDPO<ToyReward>>("DDPO", {.objective = {.round = {.recompute_log_probs = true}}}, 0.99, 0.9);
}

TEST_CASE("a loss so small that float16 rounds its gradients to 0 is learned from by their scale") {
  using namespace half_precision_test;
  using Tuner = DRTune<ToyReward>;
  const Model model(/*upcast=*/false);
  const Tuner::Options small{.steps = {.num_trained = 2, .max_early_stop = 0},
                             .objective = {.scale = 1e-7},
                             .engine = {.gradient_scale = 0x1p24}};
  const Run plain = run<Tuner>(model, at::kFloat, small), scaled = run<Tuner>(model, at::kHalf, small);
  CHECK(cosine(scaled.gradient, plain.gradient) > 0.999);
  Tuner::Options unscaled = small;
  unscaled.engine.gradient_scale = 1;
  const Run lost = run<Tuner>(model, at::kHalf, unscaled);
  const double left = lost.gradient.norm().item<double>() == 0 ? 0 : cosine(lost.gradient, plain.gradient);
  MESSAGE("cosine without the scale: ", left);
  CHECK(left < 0.9);
}

TEST_CASE("gradients that overflow are dropped, the scale backs off until they do not, and grows again") {
  using namespace half_precision_test;
  const Model model;
  Tuned tuned(model, at::kHalf);
  AdamW optimizer(tuned.parameters(), {.learning_rate = 1e-4});
  std::vector<Tensor> before;
  for (const Tensor& p : tuned.parameters()) before.push_back(p.detach().clone());
  const auto untouched = [&] {
    bool same = true;
    for (std::size_t i = 0; i < before.size(); ++i) same = same && at::equal(before[i], tuned.parameters()[i]);
    return same;
  };
  const double first = 0x1p40;
  DRTune<ToyReward> tuner(ToyReward(),
                          {.sampler = {.num_steps = 3},
                           .steps = {.num_trained = 2},
                           .engine = {.max_skipped_in_a_row = 3, .gradient_scale = first, .gradient_scale_growth = 2}});
  Rng rng(2);
  UpdateReport report = tuner.update(tuned.pipeline, optimizer, kPrompts, rng);
  CHECK(report.skipped);
  CHECK(report.skip_reason == "the gradient of the parameters is not finite");
  CHECK(report.gradient_scale == first / 2);
  CHECK(report.gradient_overflows == 1);
  CHECK(tuner.state().skipped == 1);
  CHECK(tuner.state().skipped_in_a_row == 0);  // the next one has another scale
  CHECK(untouched());
  while (report.skipped) {  // more than max_skipped_in_a_row
    REQUIRE(report.gradient_overflows < 40);
    report = tuner.update(tuned.pipeline, optimizer, kPrompts, rng);
  }
  MESSAGE("the scale that fits: ", report.gradient_scale);
  CHECK(report.gradient_overflows > 4);
  CHECK(report.gradient_scale == first * std::exp2(-static_cast<double>(report.gradient_overflows)));
  CHECK_FALSE(untouched());
  const double fits = report.gradient_scale;
  CHECK(tuner.state().gradient_scale.steps == 1);
  report = tuner.update(tuned.pipeline, optimizer, kPrompts, rng);
  CHECK((report.skipped || report.gradient_scale == 2 * fits));
}

TEST_CASE("a gradient that is not finite at the scale 1 is counted as ever") {
  using namespace half_precision_test;
  const Model model;
  Tuned tuned(model, at::kHalf);
  Recorder optimizer{tuned.parameters()};
  DRTune<ToyReward> tuner(ToyReward{ToyFailure::kInfiniteGradient},
                          {.sampler = {.num_steps = 3},
                           .steps = {.num_trained = 2},
                           .engine = {.max_skipped_in_a_row = 2, .gradient_scale = 2}});
  Rng rng(2);
  CHECK(tuner.update(tuned.pipeline, optimizer, kPrompts, rng).gradient_scale == 1);
  CHECK(tuner.state().skipped_in_a_row == 0);
  CHECK(tuner.update(tuned.pipeline, optimizer, kPrompts, rng).skipped);
  CHECK(tuner.state().skipped_in_a_row == 1);
  CHECK_THROWS_WITH_AS(tuner.update(tuned.pipeline, optimizer, kPrompts, rng),
                       doctest::Contains("2 updates in a row were skipped"), Error);
  CHECK(optimizer.gradients.empty());
}

TEST_CASE("a run of float16 that goes on from its state is the run that was never interrupted, bit for bit") {
  using namespace half_precision_test;
  const Model model;
  const DRTune<ToyReward>::Options options{.sampler = {.num_steps = 3},
                                           .steps = {.num_trained = 2},
                                           .engine = {.gradient_scale = 0x1p30, .gradient_scale_growth = 1}};
  struct Half {
    Tuned tuned;
    AdamW optimizer;
    DRTune<ToyReward> tuner;
    Rng rng;
    Half(const Model& model, const DRTune<ToyReward>::Options& options)
        : tuned(model, at::kHalf),
          optimizer(tuned.parameters(), {.learning_rate = 1e-3}),
          tuner(ToyReward(), options),
          rng(3) {}
    UpdateReport update(int times) {
      UpdateReport report;
      for (int i = 0; i < times; ++i) report = tuner.update(tuned.pipeline, optimizer, kPrompts, rng);
      return report;
    }
  };
  Half whole(model, options), begun(model, options), resumed(model, options);
  const UpdateReport truth = whole.update(30);
  begun.update(17);
  {
    const torch::NoGradGuard no_grad;
    std::map<std::string, Tensor> tensors;
    for (const auto& [name, value] : begun.optimizer.state()) tensors[name] = value.clone();
    resumed.optimizer.load_state(tensors);
    for (std::size_t i = 0; i < begun.tuned.parameters().size(); ++i)
      resumed.tuned.parameters()[i].copy_(begun.tuned.parameters()[i]);
    resumed.rng.set_state(begun.rng.state().clone());
    const std::string text = to_json(begun.tuner.state()).dump();
    resumed.tuner.load_state(tuner_state_from_json(nlohmann::json::parse(text), {}));
  }
  CHECK(begun.tuner.state().gradient_scale.overflows > 2);
  const UpdateReport report = resumed.update(13);
  CHECK(report.gradient_scale == truth.gradient_scale);
  CHECK(report.gradient_overflows == truth.gradient_overflows);
  CHECK(report.gradient_overflows > begun.tuner.state().gradient_scale.overflows);
  CHECK(resumed.tuner.state() == whole.tuner.state());
  for (std::size_t i = 0; i < whole.tuned.parameters().size(); ++i)
    CHECK(at::equal(resumed.tuned.parameters()[i], whole.tuned.parameters()[i]));
}

TEST_CASE("each task of several has its scale, and the pre-training loss its own") {
  using namespace half_precision_test;
  const Model model;
  Tuned tuned(model, at::kHalf);
  Recorder optimizer{tuned.parameters()};
  Rng images(4);
  const auto captioned = std::make_shared<const CaptionedImages>(images.uniform({2, 3, 16, 16}),
                                                                 std::vector<std::string>{"a star", "a circle"});
  auto tasks = multi_task({.pretraining = {.images = captioned, .batch = 2}},
                          task("one", make<DRTune>(ToyReward(), {.sampler = {.num_steps = 3},
                                                                 .steps = {.num_trained = 2},
                                                                 .engine = {.gradient_scale = 4096}})),
                          task("two", make<DRTune>(ToyReward(), {.sampler = {.num_steps = 3},
                                                                 .steps = {.num_trained = 2},
                                                                 .engine = {.gradient_scale = 512}})));
  Rng rng(2);
  const UpdateReport report = tasks.update(tuned.pipeline, optimizer, kPrompts, rng);
  REQUIRE(optimizer.gradients.size() == 3);
  CHECK(report.gradient_scale == 65536);
  CHECK(report.warning.empty());
  const TunerState state = tasks.state();
  CHECK(state.gradient_scale.value == 65536);
  CHECK(state.tasks[0].gradient_scale.value == 4096);
  CHECK(state.tasks[1].gradient_scale.value == 512);
  CHECK(optimizer.gradients[2].norm().item<double>() < 100);  // the scale is out of it
}

TEST_CASE(
    "log-probabilities taken again are those of the operators, which trained calls use, not of a card's kernels") {
  using namespace half_precision_test;
  const Model model;
  struct Kernels {  // as of a device, and far from the operators
    FusedKernels before = std::exchange(
        fused_kernels(), FusedKernels{c10::DeviceType::CPU, [](const GroupNormSilu& call) {
                                        return at::silu(at::group_norm(call.x, call.groups, call.weight, call.bias)) *
                                               1.01;
                                      }});
    ~Kernels() { fused_kernels() = before; }
  };
  const auto deviation = [&](bool kernels, bool again) {
    std::optional<Kernels> scope;
    if (kernels) scope.emplace();
    Tuned tuned(model, at::kFloat);
    AdamW optimizer(tuned.parameters(), {.learning_rate = 1e-4});
    auto tuner = make<DDPO>(black_box_brightness(),
                            {.sampler = {.num_steps = 4}, .objective = {.round = {.recompute_log_probs = again}}});
    Rng rng(3);
    return tuner.update(tuned.pipeline, optimizer, {"a red circle", "a red circle", "a star", "a star"}, rng)
        .ratio_deviation;
  };
  CHECK(deviation(false, false) < 1e-5);
  CHECK(deviation(true, false) > 1e-3);
  CHECK(deviation(true, true) < 1e-5);
}

TEST_CASE("what does not go together with half precision is a named error") {
  using namespace half_precision_test;
  const Model model;
  Tuned tuned(model, at::kHalf);
  Recorder optimizer{tuned.parameters()};
  Rng rng(2);
  const auto refused = [&](EngineOptions engine, const char* message) {
    CHECK_THROWS_WITH_AS(
        DRTune<ToyReward>(ToyReward(),
                          {.sampler = {.num_steps = 3}, .steps = {.num_trained = 2}, .engine = std::move(engine)})
            .update(tuned.pipeline, optimizer, kPrompts, rng),
        doctest::Contains(message), Error);
  };
  refused({.autocast = at::kBFloat16}, "engine.autocast casts float32 only; this pipeline is one of Half");
  refused({.rollout_dtype = at::kHalf},
          "engine.rollout_dtype expected another type than the network has, or none, got Half");
  refused({.gradient_scale = 0.5}, "engine.gradient_scale expected a power of two >= 1, got 0.5");
  refused({.gradient_scale = 100}, "engine.gradient_scale expected a power of two >= 1, got 100");
  refused({.gradient_scale_growth = -1}, "engine.gradient_scale_growth must be >= 0, got -1");
  CHECK_THROWS_WITH_AS(tuned.pipeline.train_unet(),
                       doctest::Contains("train_unet() expected weights in Float or Double, got Half"), Error);
}
