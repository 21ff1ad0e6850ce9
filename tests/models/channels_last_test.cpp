// Images laid out channels last: the same numbers up to rounding, in every call of a pipeline and in its gradients, and
// from layer to layer without a copy back.
#include <doctest/doctest.h>

#include <torch/autograd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/channels_last.hpp>
#include <reward_tuner/models/initialize.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/models/unet_blocks.hpp>
#include <reward_tuner/models/vae_blocks.hpp>
#include <reward_tuner/tensor/rng.hpp>

#include <tests/reference/test_folder.hpp>

namespace channels_last_test {
namespace {

using namespace reward_tuner;

const std::string kFolders[] = {REWARD_TUNER_SOURCE_DIR "/examples/models/tiny-shapes",
                                REWARD_TUNER_TEST_DATA "/parity/folder_sdxl/model"};

StableDiffusion load(const std::string& folder, std::optional<bool> channels_last, bool tiling = false) {
  return StableDiffusion::load(folder, {.vae_tiling = tiling, .channels_last = channels_last});
}

bool all_last(torch::nn::Module& network) {
  for (const Tensor& p : network.parameters())
    if (p.dim() == 4 && !p.is_contiguous(at::MemoryFormat::ChannelsLast)) return false;
  return true;
}

/// What the pipeline computes, its gradients among them.
std::vector<Tensor> answers(StableDiffusion pipeline) {
  const auto lora = Lora::attach(pipeline.unet(), {.rank = 2});
  Rng rng(3);
  {
    const torch::NoGradGuard no_grad;
    for (Tensor p : lora.parameters()) p.copy_(0.1 * rng.normal(p.sizes()));
  }
  const Condition condition = pipeline.encode({"a red circle", "a star"});
  const Tensor x = rng.normal(pipeline.latent_shape(2)).requires_grad_();
  const Tensor h = pipeline.predict(x, at::full({2}, 500, at::kLong), condition.positive);
  const Tensor images = pipeline.decode(x), latents = pipeline.encode_images(images.detach());
  std::vector<Tensor> wanted = {x};
  for (const Tensor& p : lora.parameters()) wanted.push_back(p);
  std::vector<Tensor> out = torch::autograd::grad({h.square().mean() + images.sin().mean()}, wanted);
  for (const Tensor& t : {h, images, latents}) {
    CHECK(t.is_contiguous());
    out.push_back(t.detach());
  }
  {
    const torch::NoGradGuard no_grad;
    const auto scope = pipeline.rollout_scope();
    out.push_back(pipeline.predict(x, at::full({2}, 500, at::kLong), condition.positive));
  }
  return out;
}

constexpr auto kLast = at::MemoryFormat::ChannelsLast;

/// Images of a block: a block's answers to x.
using Answers = std::function<std::vector<Tensor>(const Tensor& x)>;

/// Whether every answer of a block lies channels last where x does, with a graph and without, and so does the gradient
/// of x; all with the numbers of a block that is laid out as usual. Weights are frozen, as in a pipeline.
void keeps_layout(const std::string& name, torch::nn::Module& block, const std::vector<std::int64_t>& sizes,
                  const Answers& answers) {
  CAPTURE(name);
  Rng rng(11);
  initialize(block, rng);
  for (Tensor p : block.parameters()) p.requires_grad_(false);
  const Tensor x = rng.normal(sizes);
  const auto run = [&](const Tensor& image, bool graph) {
    const torch::AutoGradMode mode(graph);
    const Tensor leaf = image.detach().requires_grad_(graph);
    std::vector<Tensor> out = answers(leaf);
    if (!graph) return out;
    Rng seeds(13);
    Tensor sum = at::zeros({});
    // cotangents lie as their answers do: a sum with one that does not would follow it
    for (const Tensor& y : out) sum = sum + (y * seeds.normal(y.sizes()).contiguous(y.suggest_memory_format())).sum();
    out.push_back(torch::autograd::grad({sum}, {leaf})[0]);
    return out;
  };
  const auto plain = run(x, true), plain_alone = run(x, false);
  lay_channels_last(block);
  const auto compared = [&](const std::vector<Tensor>& here, const std::vector<Tensor>& there) {
    REQUIRE(here.size() == there.size());
    for (std::size_t i = 0; i < here.size(); ++i) {
      CAPTURE(i);
      CAPTURE(here[i].sizes());
      CAPTURE(here[i].strides());
      CHECK(here[i].suggest_memory_format() == kLast);  // of a part of the channels too, which has gaps
      CHECK((here[i] - there[i]).norm().item<double>() < 2e-5 * there[i].norm().item<double>());
    }
  };
  compared(run(x.contiguous(kLast), true), plain);
  compared(run(x.contiguous(kLast), false), plain_alone);
}

/// A LoRA of rank 2 on every layer, which changes what the block answers.
Lora adapted(torch::nn::Module& block) {
  auto lora = Lora::attach(block, {.rank = 2, .targets = {"all"}});
  const torch::NoGradGuard no_grad;
  Rng rng(17);
  for (Tensor p : lora.parameters()) p.copy_(0.2 * rng.normal(p.sizes()));
  return lora;
}

}  // namespace
}  // namespace channels_last_test

TEST_CASE("every block of a UNet keeps the layout of its images, forward and backward") {
  using namespace channels_last_test;
  Rng rng(1);
  const Tensor time = rng.normal({2, 6}), context = rng.normal({2, 5, 12});
  for (const bool linear : {false, true}) {
    const Transformer2DOptions options{
        .attention = {.heads = 2, .context = 12}, .layers = 2, .groups = 4, .linear_projection = linear};
    const auto transformer = std::make_shared<Transformer2DModel>(8, options);
    keeps_layout(linear ? "linear projections" : "projections by convolution", *transformer, {2, 8, 6, 5},
                 [&](const Tensor& x) { return std::vector{transformer->forward(x, context)}; });
    const UNetLevelOptions level{
        .resnet = {.time_width = 6, .groups = 4}, .cross_attention = true, .transformer = options, .layers = 2};
    const auto down = std::make_shared<UNetDownBlock>(8, 12, level);
    keeps_layout("down", *down, {2, 8, 7, 5}, [&](const Tensor& x) {
      std::vector<Tensor> skips;
      down->forward(x, time, context, skips);
      return skips;
    });
    const auto middle = std::make_shared<UNetMidBlock>(8, level);
    keeps_layout("middle", *middle, {2, 8, 4, 6},
                 [&](const Tensor& x) { return std::vector{middle->forward(x, time, context)}; });
    const auto up = std::make_shared<UNetUpBlock>(8, 12, 8, level);
    for (const std::int64_t height : {8, 7}) {  // doubled, and to the size of a skip
      keeps_layout("up", *up, {2, 8, 4, 4}, [&](const Tensor& x) {
        const auto skip = [&](std::int64_t channels, std::int64_t h, std::int64_t w) {
          Rng own(static_cast<std::uint64_t>(channels * h + w));
          return own.normal({2, channels, h, w}).contiguous(x.suggest_memory_format());
        };
        std::vector<Tensor> skips = {skip(8, height, 8), skip(8, 4, 4), skip(12, 4, 4)};
        return std::vector{up->forward(x, time, context, skips)};
      });
    }
  }
  for (const double scale : {1.0, 2.0})
    for (const std::int64_t out : {8, 12}) {
      const ResnetOptions options{.time_width = 6, .groups = 4, .output_scale = scale};
      const auto block = std::make_shared<ResnetBlock2D>(8, out, options);
      keeps_layout("residual block", *block, {2, 8, 6, 5},
                   [&](const Tensor& x) { return std::vector{block->forward(x, time)}; });
    }
}

TEST_CASE("adapters keep the layout, apart and merged") {
  using namespace channels_last_test;
  Rng rng(1);
  const Tensor time = rng.normal({2, 6}), context = rng.normal({2, 5, 12});
  const UNetLevelOptions level{.resnet = {.time_width = 6, .groups = 4},
                               .cross_attention = true,
                               .transformer = {.attention = {.heads = 2, .context = 12}, .groups = 4},
                               .layers = 1};
  const auto middle = std::make_shared<UNetMidBlock>(8, level);
  std::optional<Lora> lora;
  for (const AdapterMode mode : {AdapterMode::kApart, AdapterMode::kMerged})
    keeps_layout(mode == AdapterMode::kApart ? "apart" : "merged", *middle, {2, 8, 4, 6}, [&](const Tensor& x) {
      if (!lora) lora.emplace(adapted(*middle));
      const AdapterScope scope(*middle, mode);
      return std::vector{middle->forward(x, time, context)};
    });
}

TEST_CASE("every block of a VAE keeps the layout of its images, whole and in strips") {
  using namespace channels_last_test;
  for (const std::int64_t strip : {0, 60, 150, 100000}) {
    CAPTURE(strip);
    for (const std::int64_t out : {8, 12}) {
      const auto block = std::make_shared<ResnetBlock2D>(8, out, ResnetOptions{.groups = 4});
      block->set_strip(strip);
      keeps_layout("residual block", *block, {2, 8, 9, 5},
                   [&](const Tensor& x) { return std::vector{block->forward(x)}; });
    }
    const VaeStackOptions stack{.widths = {8, 12}, .layers = 1, .groups = 4};
    const auto decoder = std::make_shared<VaeDecoder>(4, 3, stack);
    decoder->set_strip(strip);
    keeps_layout("decoder", *decoder, {2, 4, 7, 6}, [&](const Tensor& x) { return std::vector{decoder->forward(x)}; });
    const auto encoder = std::make_shared<VaeEncoder>(3, 8, stack);
    encoder->set_strip(strip);
    keeps_layout("encoder", *encoder, {2, 3, 14, 12},
                 [&](const Tensor& x) { return std::vector{encoder->forward(x)}; });
  }
  const VaeStackOptions stack{.widths = {8}, .layers = 1, .groups = 4};
  const auto middle = std::make_shared<VaeMidBlock>(8, stack);
  keeps_layout("middle", *middle, {2, 8, 5, 6}, [&](const Tensor& x) { return std::vector{middle->forward(x)}; });
  const auto attention = std::make_shared<SpatialAttention>(8, 4, 1e-6);
  keeps_layout("attention", *attention, {2, 8, 5, 6},
               [&](const Tensor& x) { return std::vector{attention->forward(x)}; });
  const auto down = std::make_shared<Downsample2D>(8, 0);
  keeps_layout("down", *down, {2, 8, 6, 6}, [&](const Tensor& x) { return std::vector{down->forward(x)}; });
  const auto up = std::make_shared<Upsample2D>(8);
  keeps_layout("up", *up, {2, 8, 6, 5}, [&](const Tensor& x) { return std::vector{up->forward(x)}; });
}

TEST_CASE("channels last is the same pipeline up to rounding") {
  using namespace channels_last_test;
  for (const std::string& folder : kFolders)
    for (const bool tiling : {false, true}) {
      CAPTURE(folder);
      auto last = load(folder, true, tiling);
      CHECK(all_last(last.unet()));
      CHECK(all_last(last.vae()));
      const auto plain = answers(load(folder, false, tiling)), same = answers(last);
      REQUIRE(plain.size() == same.size());
      for (std::size_t i = 0; i < plain.size(); ++i)
        CHECK((plain[i] - same[i]).norm().item<double>() < 2e-5 * (plain[i].norm().item<double>() + 1e-6));
    }
}

TEST_CASE("the layout goes through a whole network, and out of a written one") {
  using namespace channels_last_test;
  auto pipeline = load(kFolders[0], true);
  const torch::NoGradGuard no_grad;
  Rng rng(5);
  const Condition condition = pipeline.encode({"a star"});
  const Tensor x = rng.normal(pipeline.latent_shape(1)).contiguous(at::MemoryFormat::ChannelsLast);
  CHECK(pipeline.unet()
            .forward(x, at::full({1}, 9, at::kLong), condition.positive.embeddings)
            .is_contiguous(at::MemoryFormat::ChannelsLast));
  CHECK(pipeline.vae().decode(x).is_contiguous(at::MemoryFormat::ChannelsLast));
  const io_test::Folder written;
  pipeline.save(written / "model");
  auto again = load(written / "model", false), plain = load(kFolders[0], false);
  CHECK_FALSE(all_last(again.unet()));
  for (std::size_t i = 0; i < plain.unet().parameters().size(); ++i)
    CHECK(again.unet().parameters()[i].equal(plain.unet().parameters()[i]));
}

TEST_CASE("unless it is told, a pipeline is channels last where the device has kernels that keep it so") {
  using namespace channels_last_test;
  CHECK_FALSE(all_last(load(kFolders[0], std::nullopt).unet()));
  const FusedKernels before = fused_kernels();
  fused_kernels() = {at::kCPU, [](const GroupNormSilu& call) { return call.x; }};
  CHECK(all_last(load(kFolders[0], std::nullopt).unet()));
  CHECK_FALSE(all_last(load(kFolders[0], false).unet()));
  fused_kernels() = before;
}
