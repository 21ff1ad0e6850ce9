// The shipped model still has the qualities its card states: the floors of the project, measured on few images with
// fixed seeds.
#include <doctest/doctest.h>

#include <filesystem>

#include <examples/pretrain/evaluation.hpp>

namespace tiny_shapes_test {

using namespace reward_tuner;
using namespace reward_tuner::pretrain;

const std::filesystem::path kModel =
    std::filesystem::path(REWARD_TUNER_SOURCE_DIR) / "examples" / "models" / "tiny-shapes";

TEST_CASE("the detector recognizes color and shape of sampled images") {
  auto pipeline = StableDiffusion::load(kModel);
  const auto all = pair_prompts();
  std::vector<std::string> prompts;
  for (std::size_t i = 0; i < all.size(); i += 3) prompts.push_back(all[i]);  // 16 of the 48 pairs
  const auto judged = reward_tuner::pretrain::detail::judge(sample_images(pipeline, prompts, 4321), prompts);
  MESSAGE("shape ", judged.at("shape_accuracy").get<double>(), ", color ", judged.at("color_accuracy").get<double>());
  CHECK(judged.at("shape_accuracy").get<double>() >= 0.85);
  CHECK(judged.at("color_accuracy").get<double>() >= 0.85);
  CHECK(judged.at("blank").get<double>() == 0);
}

TEST_CASE("the CLIP tells new images apart") {
  auto pipeline = StableDiffusion::load(kModel);
  const double accuracy = zero_shot_accuracy(*pipeline.clip(), draw_images(100, Rng(98766), {.two_objects = 0}));
  MESSAGE("zero-shot accuracy ", accuracy);
  CHECK(accuracy >= 0.95);
}

TEST_CASE("the autoencoder reconstructs new images above 26 dB") {
  auto pipeline = StableDiffusion::load(kModel);
  const double psnr = reconstruction_psnr(pipeline.vae(), draw_images(32, Rng(98765)));
  MESSAGE("PSNR ", psnr, " dB");
  CHECK(psnr >= 26);
}

}  // namespace tiny_shapes_test
