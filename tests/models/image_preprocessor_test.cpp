// The image preprocessing: geometry, values, gradient, settings, and torch's answers for every rule
// (tests/golden/make_image_golden.py).
#include <doctest/doctest.h>

#include <filesystem>
#include <limits>
#include <cstdint>
#include <string>
#include <utility>

#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/rand.h>
#include <torch/types.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/models/image_preprocessor.hpp>

#include <tests/reference/test_folder.hpp>

namespace image_preprocessor_test {
namespace {

using namespace reward_tuner;

/// No normalization, so that values can be read off.
ImagePreprocessorOptions plain(std::int64_t edge, std::int64_t crop) {
  return {.edge = edge, .side = crop, .mean = {0, 0, 0}, .deviation = {1, 1, 1}};
}

std::string message(const nlohmann::json& json) {
  try {
    ImagePreprocessorOptions::from_json(json);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("CLIP preprocessing keeps a constant image and normalizes it") {
  const ImagePreprocessor preprocess(ImagePreprocessorOptions{.edge = 8, .side = 8});
  const auto out = preprocess(at::full({2, 3, 20, 13}, 0.25, at::kDouble));
  REQUIRE((out.sizes() == at::IntArrayRef({2, 3, 8, 8})));
  CHECK(out[0][0].min().item<double>() == doctest::Approx((0.25 - 0.48145466) / 0.26862954));
  CHECK(out[1][2].max().item<double>() == doctest::Approx((0.25 - 0.40821073) / 0.27577711));
}

TEST_CASE("CLIP preprocessing crops the center and leaves fitting images alone") {
  const auto ramp = at::arange(12, at::kDouble).view({1, 1, 1, 12}).expand({1, 3, 8, 12}).contiguous();
  const auto out = ImagePreprocessor(plain(8, 8))(ramp);
  CHECK((out - ramp.slice(3, 2, 10)).abs().max().item<double>() == 0);
  CHECK((ImagePreprocessor(plain(8, 4))(ramp) - ramp.slice(2, 2, 6).slice(3, 4, 8)).abs().max().item<double>() == 0);
}

TEST_CASE("CLIP preprocessing shrinks a ramp to a ramp") {
  const auto ramp = at::arange(32, at::kDouble).view({1, 1, 1, 32}).expand({1, 3, 32, 32}).contiguous();
  const auto out = ImagePreprocessor(plain(8, 8))(ramp)[0][1][4];
  // Away from the border a symmetric filter keeps linear functions: output i sees the input at 4 i + 1.5.
  for (int i = 2; i < 6; ++i) CHECK(out[i].item<double>() == doctest::Approx(4 * i + 1.5));
}

TEST_CASE("CLIP preprocessing passes gradients that conserve their sum") {
  auto images = at::zeros({1, 3, 9, 7}, at::kDouble).requires_grad_(true);
  const auto out = ImagePreprocessor(plain(7, 7))(images);
  out.sum().backward();
  CHECK(images.grad().sum().item<double>() == doctest::Approx(3 * 7 * 7));
  auto large = at::zeros({1, 3, 16, 16}, at::kDouble).requires_grad_(true);
  ImagePreprocessor(plain(5, 5))(large).sum().backward();
  CHECK(large.grad().sum().item<double>() == doctest::Approx(3 * 5 * 5));  // each output's weights sum to 1
}

TEST_CASE("CLIP preprocessing reads preprocessor_config.json") {
  const auto o = ImagePreprocessorOptions::from_json({{"size", {{"shortest_edge", 30}}},
                                                      {"crop_size", {{"height", 28}, {"width", 28}}},
                                                      {"image_mean", {0.5, 0.4, 0.3}},
                                                      {"image_std", {0.1, 0.2, 0.3}},
                                                      {"resample", 3},
                                                      {"do_resize", true},
                                                      {"rescale_factor", 1.0 / 255},
                                                      {"image_processor_type", "CLIPImageProcessor"}});
  CHECK(o.edge == 30);
  CHECK(o.side == 28);
  CHECK(o.mean[1] == 0.4);
  CHECK(o.deviation[2] == 0.3);
  CHECK(ImagePreprocessorOptions::from_json({{"size", 96}, {"crop_size", 90}}).side == 90);
  CHECK(message({{"resample", 2}}).find("resample") != std::string::npos);
  CHECK(message({{"size", {{"height", 3}, {"width", 4}}}}).find("size") != std::string::npos);
  CHECK(message({{"crop_size", {{"height", 3}, {"width", 4}}}}).find("crop_size") != std::string::npos);
  CHECK(message({{"do_normalize", false}}).find("do_normalize") != std::string::npos);
  CHECK(message({{"image_std", {1, 1}}}).find("image_std") != std::string::npos);
  CHECK(message({{"image_std", {1, 0, 1}}}).find("positive") != std::string::npos);
  CHECK(message({{"blur", 1}}).find("blur") != std::string::npos);
  CHECK(message({{"size", 10}, {"crop_size", 11}}).find("crop_size") != std::string::npos);
  CHECK_THROWS_WITH_AS(ImagePreprocessor()(at::zeros({3, 8, 8})), doctest::Contains("[B,3,H,W]"), Error);
}

TEST_CASE("CLIP preprocessing reads what transformers 4 and 5 write, in their order, and the fallback without files") {
  const io_test::Folder folder;
  const ImagePreprocessorOptions fallback{.edge = 8, .side = 8};
  CHECK(ImagePreprocessorOptions::load(folder.path, fallback).side == 8);
  // transformers 4: the image processor's own file, and a processor's beside it that does not hold it
  io_test::write_text(folder / "preprocessor_config.json", R"({"size": {"shortest_edge": 40}, "crop_size": 30})");
  io_test::write_text(folder / "processor_config.json", R"({"processor_class": "CLIPProcessor"})");
  CHECK(ImagePreprocessorOptions::load(folder.path, fallback).side == 30);
  // transformers 5: inside the processor's file, with a byte order mark of another system
  io_test::write_text(folder / "processor_config.json",
                      "\xEF\xBB\xBF"
                      R"({"image_processor": {"size": {"shortest_edge": 20}, "crop_size": {"height": 18, "width": 18},
                          "do_pad": null, "pad_size": null}, "processor_class": "CLIPProcessor"})");
  CHECK(ImagePreprocessorOptions::load(folder.path, fallback).edge == 20);
  CHECK(ImagePreprocessorOptions::load(folder.path, fallback).side == 18);
  io_test::write_text(folder / "processor_config.json", R"({"image_processor": {"do_pad": true}})");
  CHECK_THROWS_WITH_AS(ImagePreprocessorOptions::load(folder.path, fallback),
                       doctest::Contains("processor_config.json"), Error);
}

TEST_CASE("every rule gives torch's pixels and gradients") {
  const auto golden =
      SafetensorsFile::open(std::filesystem::path(REWARD_TUNER_TEST_DATA) / "image_preprocessing.safetensors");
  const ImagePreprocessorOptions floor = plain(10, 10);
  ImagePreprocessorOptions even = floor, letterbox = floor, square = floor;
  even.crop_start = CropStart::kHalfToEven;
  letterbox.rule = ResizeRule::kLongestEdge;
  square.rule = ResizeRule::kSquare;
  ImagePreprocessorOptions letterbox_plain = letterbox;
  letterbox_plain.antialias = false;
  for (const std::string image : {"wide", "tall", "small", "fits"}) {
    for (const auto& [rule, options] : {std::pair<std::string, ImagePreprocessorOptions>("floor", floor),
                                        {"even", even},
                                        {"letterbox", letterbox},
                                        {"letterbox_plain", letterbox_plain},
                                        {"square", square}}) {
      const std::string name = image + "." + rule;
      CAPTURE(name);
      const Tensor images = golden.tensor(image).to(at::kDouble).requires_grad_();
      const Tensor pixels = ImagePreprocessor(options)(images);  // [1,3,10,10]
      CHECK(at::allclose(pixels, golden.tensor(name).to(at::kDouble), 1e-6, 1e-6));
      (pixels * golden.tensor("cotangent").to(at::kDouble)).sum().backward();
      CHECK(at::allclose(images.grad(), golden.tensor(name + ".grad").to(at::kDouble), 1e-6, 1e-6));
    }
  }
}

TEST_CASE("the padding of a letterbox is black before the normalization") {
  ImagePreprocessorOptions options{.rule = ResizeRule::kLongestEdge, .edge = 8, .side = 8};
  const Tensor out = ImagePreprocessor(options)(at::full({1, 3, 5, 8}, 1.0, at::kDouble));
  CHECK(out[0][0][0][0].item<double>() == doctest::Approx(-0.48145466 / 0.26862954));  // one row above, two below
  CHECK(out[0][0][1][0].item<double>() == doctest::Approx((1 - 0.48145466) / 0.26862954));
  CHECK(out[0][0][5][0].item<double>() == doctest::Approx((1 - 0.48145466) / 0.26862954));
  CHECK(out[0][0][6][0].item<double>() == doctest::Approx(-0.48145466 / 0.26862954));
  // one column on the left, two on the right
  CHECK(ImagePreprocessor(options)(at::full({1, 3, 8, 5}, 1.0, at::kDouble)).equal(out.transpose(2, 3)));
}

TEST_CASE("sizes after the resize round as in Python, and none is 0") {
  const auto resized = [](ResizeRule rule, std::int64_t height, std::int64_t width) {
    return ImagePreprocessor({.rule = rule}).resized(height, width);
  };
  using Size = std::pair<std::int64_t, std::int64_t>;
  CHECK(resized(ResizeRule::kShortestEdge, 512, 768) == Size(224, 336));
  CHECK(resized(ResizeRule::kShortestEdge, 500, 333) == Size(336, 224));  // 336.3
  CHECK(resized(ResizeRule::kLongestEdge, 768, 512) == Size(224, 149));   // 149.3
  CHECK(resized(ResizeRule::kLongestEdge, 448, 5) == Size(224, 2));       // 2.5
  CHECK(resized(ResizeRule::kLongestEdge, 1, 4096) == Size(1, 224));      // 0.05
  CHECK(resized(ResizeRule::kSquare, 3, 4096) == Size(224, 224));
  CHECK(resized(ResizeRule::kShortestEdge, 1, 1) == Size(224, 224));
}

TEST_CASE("images of 1 and of 4096 pixels have their pixels, and not-a-number stays so in its own image") {
  for (const auto rule : {ResizeRule::kShortestEdge, ResizeRule::kLongestEdge, ResizeRule::kSquare}) {
    const ImagePreprocessor preprocess({.rule = rule, .edge = 8, .side = 8});
    for (const auto& [height, width] : {std::pair(1, 1), std::pair(1, 9), std::pair(4096, 7), std::pair(4096, 4096)}) {
      const Tensor pixels = preprocess(at::full({1, 3, height, width}, 0.5));
      CHECK((pixels.sizes() == at::IntArrayRef({1, 3, 8, 8})));
      CHECK(pixels.isfinite().all().item<bool>());
    }
    Tensor images = at::rand({2, 3, 20, 30}, at::kDouble);
    images[1][0][10][15].fill_(std::numeric_limits<double>::quiet_NaN());
    const Tensor pixels = preprocess(images);
    CHECK(pixels[0].isfinite().all().item<bool>());
    CHECK(pixels[1].isnan().any().item<bool>());
  }
}

TEST_CASE("a size of height and width is a square that is not cropped, as OWL-ViT's") {
  const nlohmann::json sides{{"height", 30}, {"width", 30}};
  const auto o = ImagePreprocessorOptions::from_json({{"size", sides},
                                                      {"crop_size", sides},
                                                      {"do_center_crop", false},
                                                      {"image_processor_type", "OwlViTImageProcessor"}});
  CHECK(o.rule == ResizeRule::kSquare);
  CHECK(o.edge == 30);
  CHECK(o.side == 30);
  const auto old =
      ImagePreprocessorOptions::from_json({{"size", {30, 30}}, {"crop_size", 30}, {"do_center_crop", false}});
  CHECK(old.rule == ResizeRule::kSquare);
  CHECK(old.side == 30);
  CHECK(message({{"size", sides}, {"crop_size", 20}, {"do_center_crop", true}}).find("expected crop_size 30, got 20") !=
        std::string::npos);
  CHECK(message({{"size", {30, 40}}}).find("size") != std::string::npos);
  CHECK(message({{"size", 30}, {"do_center_crop", false}}).find("do_center_crop") != std::string::npos);
  CHECK_THROWS_WITH_AS(ImagePreprocessor({.rule = ResizeRule::kSquare, .edge = 9, .side = 8}),
                       doctest::Contains("expected side equal to edge"), Error);
}

}  // namespace image_preprocessor_test
