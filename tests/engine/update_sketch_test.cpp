// The sketched update against the true one under the memory meter: networks of two architectures, methods, and every
// switch that moves memory.
#include <ATen/Parallel.h>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <reward_tuner/engine/update_sketch.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/draft_lv.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/rewards/symmetry.hpp>

#include <tests/reference/tiny_folder.hpp>

namespace update_sketch_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

/// A model in which the networks outweigh what surrounds them.
struct Model {
  explicit Model(bool linear) {
    write_tiny_model(folder.path() / "model", std::filesystem::path(REWARD_TUNER_TEST_DATA) / "tokenizer");
    Rng rng(3);
    UNet2DConditionConfig unet;
    unet.sample_size = 16;
    unet.down_block_types = {"CrossAttnDownBlock2D", "DownBlock2D"};
    unet.up_block_types = {"UpBlock2D", "CrossAttnUpBlock2D"};
    if (linear) {
      unet.down_block_types = {"DownBlock2D", "CrossAttnDownBlock2D"};
      unet.up_block_types = {"CrossAttnUpBlock2D", "UpBlock2D"};
      unet.sample_size = LatentSize(24, 16);
    }
    unet.block_out_channels = {32, 64};
    unet.layers_per_block = {linear ? 2 : 1, 1};
    unet.norm_num_groups = 8;
    unet.cross_attention_dim = {16, 16};
    unet.transformer_layers_per_block = {1, linear ? 3 : 1};
    unet.attention_head_dim = {2, 4};
    unet.use_linear_projection = linear;
    UNet2DConditionModel network(unet);
    write(network, unet.to_json(), "unet", rng);
    AutoencoderKLConfig vae;
    vae.block_out_channels = {16, 32};
    vae.layers_per_block = 1;
    vae.norm_num_groups = 8;
    vae.scaling_factor = 1.0;
    AutoencoderKL autoencoder(vae);
    write(autoencoder, vae.to_json(), "vae", rng);
  }
  void write(torch::nn::Module& module, const nlohmann::json& config, const char* part, Rng& rng) const {
    initialize(module, rng);
    write_json(folder.path() / "model" / part / "config.json", config);
    save_safetensors(folder.path() / "model" / part / "diffusion_pytorch_model.safetensors", state_dict(module));
  }
  std::filesystem::path path() const { return folder.path() / "model"; }
  TemporaryFolder folder;
};

struct Setting {
  std::string name;
  int steps = 6, trained = 3, batch = 4;
  double guidance = 3;
  EngineOptions engine = {};
  std::vector<std::string> targets = {"to_q", "to_k", "to_v", "to_out.0"};
  bool full = false, text = false;
};

/// Runs three updates and compares their peaks with the sketch's: one number for all.
template <class Method, class Change>
void check(const Model& model, const Setting& s, typename Method::Options options, Change change) {
  auto pipeline = StableDiffusion::load(model.path());
  static constexpr std::int64_t kRank = 4;
  std::vector<Lora> loras;
  std::vector<Tensor> trained;
  if (s.full) trained = pipeline.train_unet(false);
  else loras.push_back(Lora::attach(pipeline.unet(), {.rank = kRank, .targets = s.targets}));
  const std::vector<std::string> text_targets = {"q_proj", "v_proj"};
  if (s.text)
    loras.push_back(Lora::attach(pipeline.text_encoder(), {.rank = kRank, .targets = text_targets}, "text_encoder"));
  for (const Lora& lora : loras)
    for (const Tensor& p : lora.parameters()) trained.push_back(p);
  AdamW optimizer(trained);
  const auto latent = pipeline.latent_shape(1);
  UpdateShape shape{.unet = pipeline.unet().config(),
                    .vae = pipeline.vae().config(),
                    .latents = LatentSize(latent[2], latent[3]),
                    .machine = {.threads = at::get_num_threads()},
                    .engine = s.engine,
                    .images = s.batch,
                    .steps = s.steps,
                    .trained = s.trained,
                    .guided = s.guidance > 1};
  const auto rank = [&](const std::vector<std::string>& targets) {
    return [targets](const std::string& path, bool linear) {
      for (const std::string& target : targets)
        if (target == "all" ||
            (target == "all-linear" ? linear : reward_tuner::detail::lora_target_matches(path, target)))
          return kRank;
      return std::int64_t{0};
    };
  };
  shape.training.weights = s.full;
  if (!s.full) shape.training.rank = rank(s.targets);
  SketchTextEncoder text{.config = pipeline.text_encoder().config(), .tokens = pipeline.text_length()};
  if (s.text) text.training.rank = rank(text_targets);
  shape.text = {text};
  change(shape);
  if (s.engine.memory.way() == Memory::kBudget) {  // between a replay and all graphs
    std::int64_t sum = 0;
    for (const Memory memory : {Memory::kReplay, Memory::kRetain}) {
      shape.engine.memory = memory;
      sum += sketch_update(shape).peak;
    }
    shape.engine.memory = Memory::budget(sum / 2);
  }
  options.sampler.num_steps = s.steps;
  options.sampler.guidance = s.guidance;
  options.engine = shape.engine;
  Method tuner(SymmetryReward(), options);
  Rng rng(2);
  UpdateReport report;
  const std::vector<std::string> prompts(static_cast<std::size_t>(s.batch), "a star");
  const UpdateMemory memory = sketch_update(shape);
  const auto near = [&](std::int64_t sketched, double limit) {
    return std::abs(static_cast<double>(sketched) / static_cast<double>(report.peak_tensor_bytes) - 1) < limit;
  };
  std::int64_t second = 0;
  for (int i = 0; i < 3; ++i) {
    report = tuner.update(pipeline, optimizer, prompts, rng);
    INFO(s.name << ", update " << i + 1 << ": sketched " << memory.peak << ", measured " << report.peak_tensor_bytes);
    if (i > 0 || s.engine.memory.way() != Memory::kBudget) CHECK(near(memory.peak, 0.1));  // the first one measures
    if (i == 1) second = report.peak_tensor_bytes;
    else if (i == 2) CHECK(near(second, 0.001));
    std::int64_t left = 0;
    for (const Tensor& p : trained)
      if (p.grad().defined()) left += static_cast<std::int64_t>(p.grad().nbytes());
    if (!s.text) CHECK(left == memory.gradients);
  }
  const double share = static_cast<double>(memory.peak) / static_cast<double>(report.peak_tensor_bytes);
  INFO(s.name << ": sketched " << memory.peak << ", measured " << report.peak_tensor_bytes << "; sampling "
              << memory.sampling << ", scoring " << memory.scoring << ", training " << memory.training << ", graph "
              << memory.graph);
  MESSAGE(s.name, ": ", share);
  if (s.engine.memory.way() == Memory::kBudget) {
    CHECK(memory.retained == report.retained);
    CHECK(memory.retained > 0);
    CHECK(memory.retained < s.trained);
  }
}

void check_drtune(const Model& model, const Setting& s) {
  check<DRTune<SymmetryReward>>(model, s, {.steps = {.num_trained = s.trained, .max_early_stop = 0}},
                                [](UpdateShape&) {});
}

}  // namespace
}  // namespace update_sketch_test

TEST_CASE("sketched updates: steps, trained steps, batch, guidance and every engine option") {
  using namespace update_sketch_test;
  for (const bool linear : {false, true}) {
    const Model model(linear);
    const std::string kind = linear ? "linear projections, " : "convolutions, ";
    const auto with = [&](const char* name, auto change) {
      Setting s{.name = kind + name};
      change(s);
      check_drtune(model, s);
    };
    with("plain", [](Setting&) {});
    with("many steps", [](Setting& s) { s.steps = 12; });
    with("one trained step", [](Setting& s) { s.trained = 1; });
    with("a large batch", [](Setting& s) { s.batch = 9; });
    with("one image", [](Setting& s) { s.batch = 1; });
    with("no guidance", [](Setting& s) { s.guidance = 1; });
    with("retained", [](Setting& s) { s.engine.memory = Memory::kRetain; });
    with("retained, all steps", [](Setting& s) { s.engine.memory = Memory::kRetain, s.trained = 6; });
    with("checkpoints", [](Setting& s) { s.engine.activation_checkpointing = true; });
    with("checkpoints, retained", [](Setting& s) {
      s.engine.activation_checkpointing = true;
      s.engine.memory = Memory::kRetain;
    });
    with("an image a decode", [](Setting& s) { s.engine.decode_batch = 1; });
    with("micro-batches", [](Setting& s) { s.engine.micro_batch = 2; });
    with("two steps a replay", [](Setting& s) { s.engine.replay_batch = 2; });
    with("adapters apart", [](Setting& s) { s.engine.merge_adapters = false; });
    with("all layers", [](Setting& s) { s.targets = {"all"}; });
    with("the text encoder too", [](Setting& s) { s.text = true; });
    with("full", [](Setting& s) { s.full = true; });
    with("full, micro-batches", [](Setting& s) { s.full = true, s.engine.micro_batch = 2; });
    with("full, retained", [](Setting& s) { s.full = true, s.engine.memory = Memory::kRetain; });
    with("a budget", [&](Setting& s) {
      s.trained = 6;
      s.batch = 8;
      s.engine.memory = Memory::budget(1);
    });
  }
}

TEST_CASE("sketched updates: gradients through the input, replicas, a pull to the untuned network, and rounds") {
  using namespace update_sketch_test;
  const Model model(false);
  check<DRaFT<SymmetryReward>>(model, {.name = "draft"}, {.steps = {.num_trained = 3}},
                               [](UpdateShape& shape) { shape.passes_input = true; });
  check<DRaFT<SymmetryReward>>(model, {.name = "draft, retained", .engine = {.memory = Memory::kRetain}},
                               {.steps = {.num_trained = 3}}, [](UpdateShape& shape) { shape.passes_input = true; });
  check<DRaFTLV<SymmetryReward>>(model, {.name = "draft-lv", .trained = 1}, {}, [](UpdateShape& shape) {
    shape.passes_input = true;
    shape.replicas = 2;
  });
  check<DRTune<SymmetryReward, KlToReference>>(model, {.name = "kl"},
                                               {.steps = {.num_trained = 3, .max_early_stop = 0}},
                                               [](UpdateShape& shape) { shape.compared = true; });
  for (const bool full : {false, true})
    for (const int rows : {0, 1, 2})  // 12 of an optimizer step: 2 of 8 images, 6 steps of each
      check<DDPO<SymmetryReward>>(
          model, {.name = (full ? "full ddpo, rows " : "ddpo, rows ") + std::to_string(rows), .full = full},
          {.objective = {.round = {.samples_per_prompt = 2, .rows = rows}}}, [rows](UpdateShape& shape) {
            shape.samples = true;
            shape.images = 8;
            shape.trained = 6;
            shape.rows = rows == 0 ? 8 : rows;
            shape.step_rows = 12;
          });
}
