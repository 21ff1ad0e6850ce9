// What whole updates report as their arithmetic, against the shapes of the operators that LibTorch ran for them.
#include <ATen/Parallel.h>

#include <doctest/doctest.h>

#include <torch/types.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/draft_lv.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/methods/reward_weighted.hpp>
#include <reward_tuner/models/pipeline_family.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/tuner/multi_task.hpp>

#include <tests/reference/observed_flops.hpp>
#include <tests/reference/tiny_folder.hpp>
#include <tests/reference/toy_pipeline.hpp>

namespace pipeline_flops_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

const std::vector<std::string> kPrompts = {"a red circle", "a blue square", "a green ring"};

struct Models {
  Models() {
    at::set_num_threads(1);
    write_tiny_model(folder / "sd", REWARD_TUNER_TEST_DATA "/tokenizer");
    write_tiny_model(folder / "xl", REWARD_TUNER_TEST_DATA "/tokenizer", 0, PipelineFamily::kStableDiffusionXL);
  }
  TemporaryFolder folder;
};

auto light() {
  return differentiable([](const Tensor& images) { return images.mean({1, 2, 3}); });
}

struct Training {
  std::string model = "sd";
  std::vector<std::string> targets = {"all"};  // none: the whole UNet
  bool text = false;
};

/// An update whose report must name what its operators took, to 1%.
template <class Tuner>
UpdateReport observed(const Models& models, const std::string& name, Tuner tuner, const Training& training = {}) {
  CAPTURE(name);
  auto pipeline = StableDiffusion::load(models.folder / training.model);
  std::vector<Tensor> trained;
  std::vector<Lora> loras;
  if (training.targets.empty()) trained = pipeline.train_unet();
  else loras.push_back(Lora::attach(pipeline.unet(), {.rank = 2, .targets = training.targets}));
  if (training.text)
    for (auto& [part, encoder] : pipeline.text_encoders())
      loras.push_back(Lora::attach(*encoder, {.rank = 2, .targets = {"q_proj", "v_proj"}}, part));
  for (const Lora& lora : loras)
    for (const Tensor& p : lora.parameters()) trained.push_back(p);
  AdamW optimizer(trained, {.learning_rate = 1e-3});
  Rng rng(3);
  const ObservedFlops operators;
  const UpdateReport report = tuner.update(pipeline, optimizer, kPrompts, rng);
  INFO("forward " << report.flops.forward << ", replayed " << report.flops.replayed << ", backward "
                  << report.flops.backward << ", operators " << operators.flops());
  CHECK(std::abs(static_cast<double>(report.flops.total()) / static_cast<double>(operators.flops()) - 1) < 0.01);
  CHECK(report.flops.forward > 0);
  CHECK(report.flops.backward > 0);
  return report;
}

// merging adapters into weights is no call of a network, and on networks as small as these a good part of the work
const EngineOptions kApart = {.merge_adapters = false};
EngineOptions apart(auto change) {
  EngineOptions options = kApart;
  change(options);
  return options;
}

}  // namespace

TEST_CASE("pipeline_flops: updates of the reward's gradient take what they report, replayed or retained") {
  const Models models;
  const auto drtune = [](EngineOptions engine) {
    return make<DRTune>(light(), {.sampler = {.num_steps = 5, .guidance = 2.0},
                                  .steps = {.num_trained = 2, .max_early_stop = 1},
                                  .engine = engine});
  };
  const UpdateReport replayed = observed(models, "replay", drtune(kApart));
  const UpdateReport retained = observed(models, "retain", drtune(apart([](auto& e) { e.memory = Memory::kRetain; })));
  CHECK(replayed.flops.replayed > 0);
  CHECK(retained.flops.replayed == 0);
  CHECK(retained.flops.forward == replayed.flops.forward);
  CHECK(retained.flops.backward == replayed.flops.backward);
  const UpdateReport batched = observed(models, "replay in batches", drtune(apart([](auto& e) {
                                          e.replay_batch = 2;
                                          e.micro_batch = 2;
                                          e.decode_batch = 1;
                                        })));
  // whatever it is cut into, but for the kernels that double pixels, one a call
  CHECK(static_cast<double>(batched.flops.total()) ==
        doctest::Approx(static_cast<double>(replayed.flops.total())).epsilon(0.01));
  const UpdateReport checkpointed =
      observed(models, "checkpoints", drtune(apart([](auto& e) { e.activation_checkpointing = true; })));
  CHECK(checkpointed.flops.backward > replayed.flops.backward);
  observed(models, "attention alone", drtune(kApart), {.targets = {"to_q", "to_k", "to_v", "to_out.0"}});
  observed(models, "SDXL", drtune(kApart), {.model = "xl", .targets = {"to_q", "to_v"}});
  observed(models, "the whole UNet", drtune(kApart), {.targets = {}});
  observed(models, "text encoder", drtune(kApart), {.text = true});
  observed(models, "SDXL, text encoders", drtune(kApart), {.model = "xl", .text = true});
  observed(models, "through the input",
           make<DRaFT>(light(),
                       {.sampler = {.num_steps = 4, .guidance = 1.0}, .steps = {.num_trained = 2}, .engine = kApart}));
  observed(models, "draft-lv",
           make<DRaFTLV>(light(), {.sampler = {.num_steps = 3, .guidance = 2.0}, .engine = kApart}));
  const UpdateReport compared =
      observed(models, "kl",
               make<DRTune, KlToReference>(light(), {.sampler = {.num_steps = 4, .guidance = 2.0},
                                                     .steps = {.num_trained = 2, .max_early_stop = 0},
                                                     .regularizer = {.weight = 0.1},
                                                     .engine = kApart}));
  CHECK(compared.flops.replayed > 0);
  auto pipeline = StableDiffusion::load(models.folder / "sd");
  const Lora lora = Lora::attach(pipeline.unet(), {.rank = 2, .targets = {"all"}});
  AdamW optimizer(lora.parameters(), {.learning_rate = 1e-3});
  Rng rng(3);
  const UpdateReport merged = drtune({}).update(pipeline, optimizer, kPrompts, rng);
  CHECK(merged.flops.forward < replayed.flops.forward);  // adapters are a part of the weights in a rollout
  CHECK(merged.flops.replayed == replayed.flops.replayed);
  CHECK(merged.flops.backward == replayed.flops.backward);
}

TEST_CASE("pipeline_flops: rounds take what they report") {
  const Models models;
  const UpdateReport once = observed(models, "ddpo",
                                     make<DDPO>(light(), {.sampler = {.num_steps = 4, .guidance = 2.0},
                                                          .objective = {.round = {.updates_per_epoch = 1}},
                                                          .engine = kApart}));
  const UpdateReport twice =
      observed(models, "ddpo, two epochs",
               make<DDPO>(light(), {.sampler = {.num_steps = 4, .guidance = 2.0},
                                    .objective = {.round = {.epochs = 2, .updates_per_epoch = 3}},
                                    .engine = kApart}));
  CHECK(twice.flops.forward == once.flops.forward);
  const auto twofold = [](std::int64_t of) { return doctest::Approx(2 * static_cast<double>(of)).epsilon(0.01); };
  CHECK(static_cast<double>(twice.flops.replayed) == twofold(once.flops.replayed));
  CHECK(static_cast<double>(twice.flops.backward) == twofold(once.flops.backward));
  observed(models, "reward-weighted",
           make<RewardWeightedTraining>(light(), {.sampler = {.num_steps = 3, .guidance = 2.0}, .engine = kApart}));
  const auto task_tuner = [] {
    return make<DDPO>(light(), {.sampler = {.num_steps = 3, .guidance = 2.0}, .engine = kApart});
  };
  observed(models, "two tasks", multi_task({}, task("a", task_tuner()), task("b", task_tuner())));
}

TEST_CASE("pipeline_flops: a pipeline that cannot tell has none, and says so by silence") {
  ToyPipeline pipeline;
  AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-3});
  Rng rng(1);
  auto tuner = make<DRTune>(light(), {.sampler = {.num_steps = 3}, .steps = {.num_trained = 1, .max_early_stop = 0}});
  const UpdateReport report = tuner.update(pipeline, optimizer, {"a star"}, rng);
  CHECK(report.flops.total() == 0);
}

}  // namespace pipeline_flops_test
