// The JPEG round trip against libjpeg's tables and files, and against plain loops.
#include <doctest/doctest.h>

#include <ATen/ops/stack.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/jpeg_round_trip.hpp>

#include <tests/rewards/jpeg_reference.hpp>
#include <tests/rewards/reward_checks.hpp>

namespace jpeg_round_trip_test {

using namespace reward_tuner;
using namespace reward_checks;
using namespace jpeg_reference;

TEST_CASE("jpeg round trip: the tables are libjpeg's at every quality, untransposed") {
  for (int quality = 1; quality <= 100; ++quality)
    for (const bool chrominance : {false, true}) {
      const Tensor table = jpeg_table(chrominance, quality);
      const auto want = libjpeg_table(chrominance, quality);
      for (std::size_t i = 0; i < 64; ++i) REQUIRE(table.data_ptr<double>()[i] == want[i]);
    }
  // T.81 K.1: first row 16 11 10 ..., first column 16 12 14 ...
  CHECK(jpeg_table(false, 50)[0][1].item<double>() == 11);
  CHECK(jpeg_table(false, 50)[1][0].item<double>() == 12);
  CHECK(jpeg_table(true, 100).max().item<double>() == 1);
}

TEST_CASE("jpeg round trip: equals plain loops, with sides that are no multiple of 16 and colors that leave [0,1]") {
  for (const auto& [height, width] : {std::pair<int, int>{32, 16}, {17, 33}, {2, 3}})
    for (const int quality : {5, 50, 90}) {
      const Tensor images = (drawings(2, height, width, 7) - 0.5) * 1.25 + 0.5;  // [2,3,H,W]
      const Tensor stored = jpeg_round_trip(images, quality);
      const Tensor want =
          at::stack({slow_round_trip(images[0], quality, whole), slow_round_trip(images[1], quality, whole)})
              .clamp(0, 1);
      CHECK((stored - want).abs().max().item<double>() < 1e-12);
      CHECK((jpeg_round_trip(images.to(at::kFloat), quality).to(at::kDouble) - want).abs().mean().item<double>() <
            1e-5);
    }
}

TEST_CASE("jpeg round trip: a real JPEG file gives nearly the same image") {
  // libjpeg rounds samples to bytes after the color conversion, the averaging and the inverse transform. This does
  // not, so that some coefficients near a tie round the other way: a whole step of the table each, in both directions
  // alike. The image differs by a fraction of the loss, the error by about one percent.
  for (const int quality : {10, 50, 75, 95}) {
    CAPTURE(quality);
    double difference = 0, smooth = 0, largest = 0, loss = 0, error = 0, libjpeg_error = 0;
    constexpr int kImages = 4;
    for (const auto& [height, width] : {std::pair<int, int>{64, 64}, {45, 51}}) {
      const Tensor images = (drawings(kImages, height, width, 11) * 255).round() / 255;  // [4,3,H,W]
      const Tensor stored = jpeg_round_trip(images, quality);
      for (std::int64_t i = 0; i < kImages; ++i) {
        const Tensor theirs = libjpeg_round_trip(images[i], quality, false), gap = (stored[i] - theirs).abs() * 255;
        error += (stored[i] - images[i]).pow(2).mean().item<double>() / (2 * kImages);
        libjpeg_error += (theirs - images[i]).pow(2).mean().item<double>() / (2 * kImages);
        difference += gap.mean().item<double>() / (2 * kImages);
        largest = std::max(largest, gap.max().item<double>());
        smooth += (stored[i] - libjpeg_round_trip(images[i], quality, true)).abs().mean().item<double>() * 255 /
                  (2 * kImages);
        loss += (stored[i] - images[i]).abs().mean().item<double>() * 255 / (2 * kImages);
      }
    }
    MESSAGE("quality ", quality, ": mean difference from libjpeg ", difference, " grey levels of 255, largest ",
            largest, "; with interpolated chroma ", smooth, "; the loss itself is ", loss, "; mean squared error ",
            error, ", libjpeg's ", libjpeg_error);
    CHECK(difference < 1.8);
    CHECK(difference < 0.3 * loss);
    CHECK(error == doctest::Approx(libjpeg_error).epsilon(0.03));
  }
}

TEST_CASE("jpeg round trip: a stored image is kept") {
  const Tensor once = jpeg_round_trip(drawings(2, 32, 32, 3), 50);
  CHECK((jpeg_round_trip(once, 50) - once).abs().max().item<double>() < 1e-12);
}

TEST_CASE("jpeg round trip: what is out of range is named") {
  CHECK_THROWS_WITH_AS(jpeg_round_trip(random_images(1, 8, 8, 1), 0),
                       doctest::Contains("quality must be in [1, 100], got 0"), Error);
  CHECK_THROWS_WITH_AS(jpeg_round_trip(random_images(1, 8, 8, 1), 101), doctest::Contains("got 101"), Error);
  CHECK_THROWS_WITH_AS(jpeg_round_trip(random_images(1, 8, 8, 1)[0], 50), doctest::Contains("[B,3,H,W]"), Error);
}

}  // namespace jpeg_round_trip_test
