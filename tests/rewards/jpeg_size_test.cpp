// The JPEG size: bytes that Pillow's files have, libjpeg's own count, and errors that stay errors.
#include <doctest/doctest.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <fstream>
#include <limits>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/jpeg_size.hpp>

#include <tests/rewards/jpeg_reference.hpp>
#include <tests/rewards/reward_checks.hpp>

namespace jpeg_size_test {
namespace {

using namespace reward_tuner;
using namespace reward_checks;
using namespace jpeg_reference;

/// tests/golden/make_jpeg_golden.py's pixel().
std::int64_t pixel(const std::string& kind, std::int64_t c, std::int64_t x, std::int64_t y) {
  if (kind == "flat") return c == 0 ? 40 : c == 1 ? 120 : 200;
  if (kind == "ramp") return (3 * x + 2 * y + 40 * c) % 256;
  if (kind == "product") return (x * y + 7 * c * x) % 256;
  if (kind == "blocks") return (x / 5 + y / 7) % 2 * 150 + 35 * c;
  const auto mixed = static_cast<std::uint64_t>((x * 73856093) ^ (y * 19349663) ^ (c * 83492791));
  return static_cast<std::int64_t>((mixed * 2654435761ULL & 0xFFFFFFFFULL) >> 24);
}

Tensor image(const std::string& kind, std::int64_t width, std::int64_t height) {
  const Tensor out = at::empty({1, 3, height, width}, at::kFloat);
  for (std::int64_t c = 0; c < 3; ++c)
    for (std::int64_t y = 0; y < height; ++y)
      for (std::int64_t x = 0; x < width; ++x)
        out.data_ptr<float>()[(c * height + y) * width + x] = static_cast<float>(pixel(kind, c, x, y)) / 255.0F;
  return out;
}

}  // namespace

TEST_CASE("jpeg size: Pillow's files have as many bytes, to the byte") {
  std::ifstream file(REWARD_TUNER_TEST_DATA "/jpeg/sizes.json");
  const auto golden = nlohmann::json::parse(file);
  std::size_t count = 0;
  for (const auto& item : golden.at("cases")) {
    CAPTURE(item.dump());
    const Tensor x = image(item.at("kind"), item.at("width"), item.at("height"));
    CHECK(jpeg_bytes(x, item.at("quality")).item<std::int64_t>() == item.at("bytes").get<std::int64_t>());
    ++count;
  }
  CHECK(count == 60);
}

TEST_CASE("jpeg size: values are kilobytes with their sign, each image for itself, clamped and rounded") {
  // large enough to fill the buffer several times
  const Tensor images = (drawings(3, 70, 130, 1, 0.3) - 0.5) * 1.4 + 0.5;
  const RewardResult less = JpegSizeReward().score({images, {}}),
                     more = JpegSizeReward({.quality = 50, .incompressible = true}).score({images, {}});
  for (std::int64_t i = 0; i < 3; ++i) {
    std::size_t at95 = 0, at50 = 0;
    const Tensor clamped = images[i].clamp(0, 1);
    libjpeg_round_trip(clamped, 95, true, &at95);
    libjpeg_round_trip(clamped, 50, true, &at50);
    REQUIRE(at95 > 8192);
    CHECK(less.values[i].item<double>() == -static_cast<double>(at95) / 1000);
    CHECK(less.components.at("jpeg_kilobytes")[i].item<double>() == static_cast<double>(at95) / 1000);
    CHECK(more.values[i].item<double>() == static_cast<double>(at50) / 1000);
  }
  CHECK_FALSE(JpegSizeReward().score({images.clone().requires_grad_(), {}}).values.requires_grad());
  CHECK((JpegSizeReward().score({images.to(at::kHalf), {}}).values.scalar_type() == at::kFloat));
}

TEST_CASE("jpeg size: libjpeg's own errors come out as errors, again and again") {
  const Tensor wide = at::zeros({1, 3, 2, 65501}), fine = at::full({1, 3, 16, 16}, 0.5);
  for (int i = 0; i < 3; ++i) {
    CHECK_THROWS_WITH_AS(jpeg_bytes(wide), doctest::Contains("65500"), Error);
    CHECK(jpeg_bytes(fine).item<std::int64_t>() > 600);
  }
}

TEST_CASE("jpeg size: what is out of range is named") {
  CHECK_THROWS_WITH_AS(JpegSizeReward({.quality = 101}), doctest::Contains("quality must be in [1, 100], got 101"),
                       Error);
  CHECK_THROWS_WITH_AS(jpeg_bytes(random_images(1, 8, 8, 1), 0), doctest::Contains("got 0"), Error);
  CHECK_THROWS_WITH_AS(jpeg_bytes(at::full({1, 3, 4, 4}, std::numeric_limits<double>::quiet_NaN())),
                       doctest::Contains("finite"), Error);
  CHECK_THROWS_WITH_AS(JpegSizeReward().score({random_images(1, 4, 4, 1)[0], {}}), doctest::Contains("[B,3,H,W]"),
                       Error);
}

}  // namespace jpeg_size_test
