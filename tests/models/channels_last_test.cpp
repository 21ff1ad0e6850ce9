// Images laid out channels last: the same numbers up to rounding, in every call of a pipeline and in its gradients, and
// from layer to layer without a copy back.
#include <doctest/doctest.h>

#include <torch/autograd.h>

#include <filesystem>
#include <string>

#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
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

}  // namespace
}  // namespace channels_last_test

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
