// Networks on sketched tensors against the true ones under the memory meter: the bytes that a graph keeps, and the peak
// of a backward pass, for the architectures of Stable Diffusion 1, 2 and XL.
#include <ATen/Parallel.h>

#include <doctest/doctest.h>

#include <torch/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/initialize.hpp>
#include <reward_tuner/models/sketch_networks.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>
#include <reward_tuner/tensor/memory_meter.hpp>

#include <tests/reference/small_unets.hpp>

namespace sketch_networks_test {
namespace {

using namespace reward_tuner;

/// Whether bytes are as sketched, to 5%.
void check_near(std::int64_t sketched, std::int64_t measured, const std::string& what) {
  INFO(what << ": sketched " << sketched << ", measured " << measured);
  MESSAGE(what, ": ", static_cast<double>(sketched) / static_cast<double>(measured));
  CHECK(std::abs(static_cast<double>(sketched) / static_cast<double>(measured) - 1) < 0.05);
}

using small::sd1;
using small::sd2;
using small::sdxl;

struct Case {
  std::string name;
  UNet2DConditionConfig config;
  std::vector<std::string> targets = {"to_q", "to_k", "to_v", "to_out.0"};  // none: every weight is trained
  std::int64_t rows = 4, height = 32, width = 32;
  bool checkpointing = false, through_input = false;
};

void check_unet(const Case& c) {
  constexpr std::int64_t kRank = 4, kTokens = 20;
  UNet2DConditionModel unet(c.config);
  Rng rng(1);
  initialize(unet, rng);
  std::vector<Lora> loras;
  if (!c.targets.empty()) loras.push_back(Lora::attach(unet, {.rank = kRank, .targets = c.targets}));
  unet.set_activation_checkpointing(c.checkpointing);
  const std::vector<std::int64_t> sizes{c.rows, 4, c.height, c.width};
  const Tensor latents = rng.normal(sizes).requires_grad_(c.through_input);
  const Tensor context = rng.normal({c.rows, kTokens, c.config.cross_attention_dim.front()});
  AddedCondition added;
  if (c.config.text_time_embedding) added = {at::zeros({c.rows, 40}), at::zeros({c.rows, 6})};
  const auto forward = [&] { return unet.forward(latents, at::zeros({c.rows}, at::kLong), context, added); };

  Sketch sketch;
  SketchTraining training{.weights = c.targets.empty()};
  training.rank = [&](const std::string& path, bool linear) {
    for (const std::string& target : c.targets)
      if (target == "all" ||
          (target == "all-linear" ? linear : reward_tuner::detail::lora_target_matches(path, target)))
        return kRank;
    return std::int64_t{0};
  };
  SketchLayers layers(sketch, {.threads = at::get_num_threads()}, training);
  SketchUNet shape(layers, c.config);
  auto input = std::make_shared<SketchParameter>();
  const SketchTensor x = sketch.empty(sizes), states = sketch.empty(context.sizes().vec());
  const auto sketched = [&] {
    return shape.forward(c.through_input ? sketch.leaf(x, input) : x, states, c.checkpointing);
  };
  const std::int64_t there = sketch.live_bytes();

  {
    const torch::NoGradGuard no_grad;
    const MemoryMeter meter;
    forward();
    sketched();
    check_near(sketch.peak_bytes() - there, meter.peak_bytes(), c.name + ", no gradient");
  }
  const MemoryMeter meter;
  Tensor out = forward();
  const Sketch::Recording on(sketch, true);
  SketchTensor sketched_out = sketched();
  check_near(sketch.live_bytes() - there, meter.live_bytes(), c.name + ", graph");
  torch::autograd::backward({out}, {at::ones_like(out)});
  out = Tensor();
  sketch.backward(sketched_out, sketch.like(sketched_out));
  sketched_out = {};
  check_near(sketch.peak_bytes() - there, meter.peak_bytes(), c.name + ", backward");
  check_near(sketch.live_bytes() - there, meter.live_bytes(), c.name + ", gradients");
  if (!loras.empty()) CHECK(layers.adapter_numbers() == static_cast<std::int64_t>(loras[0].num_parameters()));
}

}  // namespace
}  // namespace sketch_networks_test

TEST_CASE("sketch: the UNets of Stable Diffusion 1, 2 and XL keep and peak as the true ones") {
  using namespace sketch_networks_test;
  check_unet({.name = "sd1", .config = sd1()});
  check_unet({.name = "sd2", .config = sd2()});
  check_unet({.name = "sdxl", .config = sdxl()});
}

TEST_CASE("sketch: other targets, full training, input gradients, odd sizes and checkpoints") {
  using namespace sketch_networks_test;
  check_unet({.name = "sd1, all", .config = sd1(), .targets = {"all"}});
  check_unet({.name = "sdxl, all linear", .config = sdxl(), .targets = {"all-linear"}});
  check_unet({.name = "sd1, full", .config = sd1(), .targets = {}});
  check_unet({.name = "sdxl, full", .config = sdxl(), .targets = {}});
  check_unet({.name = "sd1, input", .config = sd1(), .through_input = true});
  check_unet({.name = "sd2, odd", .config = sd2(), .rows = 2, .height = 42, .width = 30});
  check_unet({.name = "sd1, checkpoints", .config = sd1(), .checkpointing = true});
  check_unet({.name = "sdxl, checkpoints", .config = sdxl(), .checkpointing = true, .through_input = true});
}

TEST_CASE("sketch: the decoder and the encoder of images, with gradient and without") {
  using namespace sketch_networks_test;
  for (const bool attention : {true, false}) {
    AutoencoderKLConfig c;
    c.block_out_channels = {16, 32, 32};
    c.layers_per_block = attention ? 2 : 1;
    c.norm_num_groups = 8;
    c.mid_block_add_attention = attention;
    AutoencoderKL vae(c);
    Rng rng(1);
    initialize(vae, rng);
    for (Tensor& p : vae.parameters()) p.requires_grad_(false);
    Sketch sketch;
    SketchLayers layers(sketch, {.threads = at::get_num_threads()}, {});
    const Tensor latents = rng.normal({3, 4, 16, 16}).requires_grad_();
    const SketchTensor x = sketch.empty({3, 4, 16, 16});
    const auto decode = [&] { return vae.decode(latents / 0.5 + 0.0) * 0.5 + 0.5; };
    {
      const torch::NoGradGuard no_grad;
      const std::int64_t there = sketch.live_bytes();
      const MemoryMeter meter;
      decode();
      sketch_decode(layers, c, x);
      check_near(sketch.peak_bytes() - there, meter.peak_bytes(), "decoder, no gradient");
    }
    {
      const torch::NoGradGuard no_grad;
      const Tensor images = at::zeros({3, 3, 64, 64});
      const SketchTensor shape = sketch.empty({3, 3, 64, 64});
      const std::int64_t there = sketch.live_bytes();
      sketch.reset_peak();
      const MemoryMeter meter;
      vae.encode_moments(images);
      sketch_encode(layers, c, shape);
      check_near(sketch.peak_bytes() - there, meter.peak_bytes(), "encoder");
    }
    const std::int64_t there = sketch.live_bytes();
    sketch.reset_peak();
    const MemoryMeter meter;
    Tensor images = decode();
    const Sketch::Recording on(sketch, true);
    const SketchTensor leaf = sketch.leaf(x, std::make_shared<SketchParameter>());
    SketchTensor sketched = sketch_decode(layers, c, leaf);
    check_near(sketch.live_bytes() - there, meter.live_bytes(), "decoder, graph");
    torch::autograd::backward({images}, {at::ones_like(images)});
    sketch.backward(sketched, sketch.like(sketched));
    check_near(sketch.peak_bytes() - there, meter.peak_bytes(), "decoder, backward");
  }
}
