// CLIP's image preprocessing: geometry, values, gradient, settings.
#include <doctest/doctest.h>

#include <string>

#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <torch/types.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/clip_image.hpp>

#include <tests/reference/test_folder.hpp>

namespace clip_image_test {
namespace {

using namespace reward_tuner;

/// No normalization, so that values can be read off.
ClipImageOptions plain(std::int64_t edge, std::int64_t crop) {
  return {.shortest_edge = edge, .crop_size = crop, .mean = {0, 0, 0}, .deviation = {1, 1, 1}};
}

std::string message(const nlohmann::json& json) {
  try {
    ClipImageOptions::from_json(json);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("CLIP preprocessing keeps a constant image and normalizes it") {
  const ClipImagePreprocessor preprocess(ClipImageOptions{.shortest_edge = 8, .crop_size = 8});
  const auto out = preprocess(at::full({2, 3, 20, 13}, 0.25, at::kDouble));
  REQUIRE((out.sizes() == at::IntArrayRef({2, 3, 8, 8})));
  CHECK(out[0][0].min().item<double>() == doctest::Approx((0.25 - 0.48145466) / 0.26862954));
  CHECK(out[1][2].max().item<double>() == doctest::Approx((0.25 - 0.40821073) / 0.27577711));
}

TEST_CASE("CLIP preprocessing crops the center and leaves fitting images alone") {
  const auto ramp = at::arange(12, at::kDouble).view({1, 1, 1, 12}).expand({1, 3, 8, 12}).contiguous();
  const auto out = ClipImagePreprocessor(plain(8, 8))(ramp);
  CHECK((out - ramp.slice(3, 2, 10)).abs().max().item<double>() == 0);
  CHECK((ClipImagePreprocessor(plain(8, 4))(ramp) - ramp.slice(2, 2, 6).slice(3, 4, 8)).abs().max().item<double>() ==
        0);
}

TEST_CASE("CLIP preprocessing shrinks a ramp to a ramp") {
  const auto ramp = at::arange(32, at::kDouble).view({1, 1, 1, 32}).expand({1, 3, 32, 32}).contiguous();
  const auto out = ClipImagePreprocessor(plain(8, 8))(ramp)[0][1][4];
  // Away from the border a symmetric filter keeps linear functions: output i sees the input at 4 i + 1.5.
  for (int i = 2; i < 6; ++i) CHECK(out[i].item<double>() == doctest::Approx(4 * i + 1.5));
}

TEST_CASE("CLIP preprocessing passes gradients that conserve their sum") {
  auto images = at::zeros({1, 3, 9, 7}, at::kDouble).requires_grad_(true);
  const auto out = ClipImagePreprocessor(plain(7, 7))(images);
  out.sum().backward();
  CHECK(images.grad().sum().item<double>() == doctest::Approx(3 * 7 * 7));
  auto large = at::zeros({1, 3, 16, 16}, at::kDouble).requires_grad_(true);
  ClipImagePreprocessor(plain(5, 5))(large).sum().backward();
  CHECK(large.grad().sum().item<double>() == doctest::Approx(3 * 5 * 5));  // each output's weights sum to 1
}

TEST_CASE("CLIP preprocessing reads preprocessor_config.json") {
  const auto o = ClipImageOptions::from_json({{"size", {{"shortest_edge", 30}}},
                                              {"crop_size", {{"height", 28}, {"width", 28}}},
                                              {"image_mean", {0.5, 0.4, 0.3}},
                                              {"image_std", {0.1, 0.2, 0.3}},
                                              {"resample", 3},
                                              {"do_resize", true},
                                              {"rescale_factor", 1.0 / 255},
                                              {"image_processor_type", "CLIPImageProcessor"}});
  CHECK(o.shortest_edge == 30);
  CHECK(o.crop_size == 28);
  CHECK(o.mean[1] == 0.4);
  CHECK(o.deviation[2] == 0.3);
  CHECK(ClipImageOptions::from_json({{"size", 96}, {"crop_size", 90}}).crop_size == 90);
  CHECK(message({{"resample", 2}}).find("resample") != std::string::npos);
  CHECK(message({{"size", {{"height", 3}, {"width", 4}}}}).find("size") != std::string::npos);
  CHECK(message({{"crop_size", {{"height", 3}, {"width", 4}}}}).find("crop_size") != std::string::npos);
  CHECK(message({{"do_normalize", false}}).find("do_normalize") != std::string::npos);
  CHECK(message({{"image_std", {1, 1}}}).find("image_std") != std::string::npos);
  CHECK(message({{"image_std", {1, 0, 1}}}).find("positive") != std::string::npos);
  CHECK(message({{"blur", 1}}).find("blur") != std::string::npos);
  CHECK(message({{"size", 10}, {"crop_size", 11}}).find("crop_size") != std::string::npos);
  CHECK_THROWS_WITH_AS(ClipImagePreprocessor()(at::zeros({3, 8, 8})), doctest::Contains("[B,3,H,W]"), Error);
}

TEST_CASE("CLIP preprocessing reads what transformers 4 and 5 write, in their order, and the fallback without files") {
  const io_test::Folder folder;
  const ClipImageOptions fallback{.shortest_edge = 8, .crop_size = 8};
  CHECK(ClipImageOptions::load(folder.path, fallback).crop_size == 8);
  // transformers 4: the image processor's own file, and a processor's beside it that does not hold it
  io_test::write_text(folder / "preprocessor_config.json", R"({"size": {"shortest_edge": 40}, "crop_size": 30})");
  io_test::write_text(folder / "processor_config.json", R"({"processor_class": "CLIPProcessor"})");
  CHECK(ClipImageOptions::load(folder.path, fallback).crop_size == 30);
  // transformers 5: inside the processor's file, with a byte order mark of another system
  io_test::write_text(folder / "processor_config.json",
                      "\xEF\xBB\xBF"
                      R"({"image_processor": {"size": {"shortest_edge": 20}, "crop_size": {"height": 18, "width": 18},
                          "do_pad": null, "pad_size": null}, "processor_class": "CLIPProcessor"})");
  CHECK(ClipImageOptions::load(folder.path, fallback).shortest_edge == 20);
  CHECK(ClipImageOptions::load(folder.path, fallback).crop_size == 18);
  io_test::write_text(folder / "processor_config.json", R"({"image_processor": {"do_pad": true}})");
  CHECK_THROWS_WITH_AS(ClipImageOptions::load(folder.path, fallback), doctest::Contains("processor_config.json"),
                       Error);
}

}  // namespace clip_image_test
