// The arithmetic of network calls: against the shapes of the operators that LibTorch runs, at small widths, and against
// torch.utils.flop_counter on diffusers' classes at the published ones (golden/make_flop_golden.py).
#include <doctest/doctest.h>

#include <torch/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/initialize.hpp>
#include <reward_tuner/models/known_configurations.hpp>
#include <reward_tuner/models/network_flops.hpp>
#include <reward_tuner/models/pipeline_corrections.hpp>
#include <reward_tuner/models/pipeline_family.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>

#include <tests/reference/observed_flops.hpp>
#include <tests/reference/small_unets.hpp>

namespace network_flops_test {
namespace {

using namespace reward_tuner;
using reward_tuner::reference::ObservedFlops;

void check_near(std::int64_t counted, std::int64_t wanted, const std::string& what) {
  INFO(what << ": counted " << counted << ", wanted " << wanted);
  CHECK(std::abs(static_cast<double>(counted) / static_cast<double>(wanted) - 1) < 0.01);
}

/// A call and its backward pass against what is observed.
template <class Call>
void check_call(const CallFlops& counted, bool graph, Call call, const std::string& what) {
  const torch::AutoGradMode mode(graph);
  ObservedFlops observed;
  const Tensor y = call();
  check_near(counted.forward, observed.flops(), what + ", forward");
  observed.clear();
  if (!graph) return;
  torch::autograd::backward({y}, {at::ones_like(y)});
  check_near(counted.backward, observed.flops(), what + ", backward");
}

struct Case {
  std::string name;
  UNet2DConditionConfig config;
  std::vector<std::string> targets = {"to_q", "to_k", "to_v", "to_out.0"};  // none: every weight is trained
  bool through_input = false, through_states = false, checkpointing = false;
  std::int64_t rows = 2, height = 32, width = 32;
};

void check_unet(const Case& c) {
  constexpr std::int64_t kRank = 4, kTokens = 20;
  const auto network = std::make_shared<UNet2DConditionModel>(c.config);
  UNet2DConditionModel& unet = *network;
  Rng rng(1);
  initialize(unet, rng);
  std::vector<Lora> loras;
  if (!c.targets.empty()) loras.push_back(Lora::attach(unet, {.rank = kRank, .targets = c.targets}));
  unet.set_activation_checkpointing(c.checkpointing);
  const Tensor latents = rng.normal({c.rows, 4, c.height, c.width}).requires_grad_(c.through_input);
  const Tensor states =
      rng.normal({c.rows, kTokens, c.config.cross_attention_dim.front()}).requires_grad_(c.through_states);
  AddedCondition added;
  if (c.config.text_time_embedding) added = {at::zeros({c.rows, 40}), at::zeros({c.rows, 6})};
  const auto call = [&] { return unet.forward(latents, at::zeros({c.rows}, at::kLong), states, added); };

  CallForm form{.through_input = c.through_input, .through_states = c.through_states, .checkpointing = c.checkpointing};
  form.training.weights = c.targets.empty();
  form.training.rank = [&](const std::string& path, bool linear) {
    for (const std::string& target : c.targets)
      if (target == "all" ||
          (target == "all-linear" ? linear : reward_tuner::detail::lora_target_matches(path, target)))
        return kRank;
    return std::int64_t{0};
  };
  const auto counted = [&] { return unet_flops(c.config, c.rows, {c.height, c.width}, kTokens, form); };
  check_call(counted(), false, call, c.name + ", no graph");
  CHECK(counted().backward == 0);
  {
    const AdapterScope scope(unet, AdapterMode::kMerged);
    form.merged = true;
    check_call(counted(), false, call, c.name + ", merged");
    form.merged = false;
  }
  form.graph = true;
  check_call(counted(), true, call, c.name);
}

}  // namespace

TEST_CASE("network_flops: the UNets' calls and backward passes take what LibTorch's operators do") {
  check_unet({.name = "sd1", .config = small::sd1()});
  check_unet({.name = "sd2", .config = small::sd2()});
  check_unet({.name = "sdxl", .config = small::sdxl()});
  check_unet({.name = "sd1, input", .config = small::sd1(), .through_input = true});
  check_unet({.name = "sd2, states, odd", .config = small::sd2(), .through_states = true, .height = 42, .width = 30});
  check_unet({.name = "sd1, all", .config = small::sd1(), .targets = {"all"}});
  check_unet({.name = "sdxl, all linear", .config = small::sdxl(), .targets = {"all-linear"}, .rows = 1});
  check_unet({.name = "sd1, feed-forward", .config = small::sd1(), .targets = {"ff.net.0.proj", "conv1"}});
  check_unet({.name = "sdxl, full", .config = small::sdxl(), .targets = {}});
  check_unet({.name = "sd1, checkpoints", .config = small::sd1(), .through_input = true, .checkpointing = true});
}

TEST_CASE("network_flops: decoder, encoder and text encoder") {
  AutoencoderKLConfig c;
  c.block_out_channels = {16, 32, 32};
  c.layers_per_block = 2;
  c.norm_num_groups = 8;
  AutoencoderKL vae(c);
  ClipTextConfig t;
  t.hidden_size = 48;
  t.intermediate_size = 160;
  t.num_hidden_layers = 3;
  t.num_attention_heads = 4;
  t.vocab_size = 100;
  t.max_position_embeddings = 77;
  ClipTextModel text(t, false);
  Rng rng(1);
  initialize(vae, rng);
  initialize(text, rng);
  for (auto* network : std::initializer_list<torch::nn::Module*>{&vae, &text})
    for (Tensor& p : network->parameters()) p.requires_grad_(false);
  for (const bool graph : {false, true}) {
    const Tensor latents = rng.normal({3, 4, 12, 16}).requires_grad_(graph);
    const CallForm form{.graph = graph, .through_input = graph};
    check_call(decoder_flops(c, 3, {12, 16}, form), graph, [&] { return vae.decode(latents); }, "decoder");
    const Tensor images = rng.normal({3, 3, 48, 64}).requires_grad_(graph);
    check_call(encoder_flops(c, 3, {12, 16}, form), graph, [&] { return vae.encode_moments(images); }, "encoder");
  }
  const Tensor ids = at::zeros({5, 77}, at::kLong);
  const auto states = [&] { return text.forward(ids).last_hidden_state; };
  check_call(text_flops(t, 5, 77), false, states, "text");
  const Lora lora = Lora::attach(text, {.rank = 4, .targets = {"q_proj", "k_proj", "v_proj", "out_proj"}});
  CallForm trained{.graph = true};
  trained.training.rank = [](const std::string& path, bool) {
    return std::int64_t{path.find("self_attn") != std::string::npos ? 4 : 0};
  };
  check_call(text_flops(t, 5, 77, trained), true, states, "text, LoRA");
}

TEST_CASE("network_flops: the published networks take what torch.utils.flop_counter counts") {
  const nlohmann::json golden = read_json(std::string(REWARD_TUNER_TEST_DATA) + "/flops.json");
  CallForm plain;
  plain.machine.cpu = false;  // pixels are doubled before the convolution
  CallForm graph = plain;
  graph.graph = graph.through_input = true;
  const auto check = [&](const std::string& part, const std::string& name, const CallFlops& counted) {
    INFO(part << " " << name);
    const nlohmann::json& wanted = golden.at(part).at(name);
    check_near(counted.forward, wanted.at("forward").get<std::int64_t>(), "forward");
    if (wanted.contains("backward"))
      check_near(counted.backward, wanted.at("backward").get<std::int64_t>(), "backward");
  };
  const auto unet = [](KnownModel model) {
    return pipeline_unet(pipeline_family(known_configuration(model, "model_index"), "index"),
                         known_configuration(model, "unet"), "unet");
  };
  const auto sd15 = unet(KnownModel::kSd15), sd21 = unet(KnownModel::kSd21), xl = unet(KnownModel::kSdxlBase);
  check("unet", "sd15 64", unet_flops(sd15, 1, 64, 77, graph));
  check("unet", "sd21 64", unet_flops(sd21, 1, 64, 77, graph));
  check("unet", "sd21 96", unet_flops(sd21, 1, 96, 77, graph));
  check("unet", "sdxl 64", unet_flops(xl, 1, 64, 77, graph));
  check("unet", "sdxl 128", unet_flops(xl, 1, 128, 77, graph));
  const auto vae = AutoencoderKLConfig::from_json(known_configuration(KnownModel::kSd15, "vae"), "vae");
  check("decoder", "64", decoder_flops(vae, 1, 64, graph));
  check("decoder", "128", decoder_flops(vae, 1, 128, graph));
  check("encoder", "64", encoder_flops(vae, 1, 64, graph));
  const auto text = ClipTextConfig::from_json(known_configuration(KnownModel::kSd15, "text_encoder"), "text_encoder");
  check("text", "sd15", text_flops(text, 1, 77, plain));
  CHECK(unet_flops(sd15, 16, 64, 77, plain).forward == 16 * unet_flops(sd15, 1, 64, 77, plain).forward);
}

}  // namespace network_flops_test
