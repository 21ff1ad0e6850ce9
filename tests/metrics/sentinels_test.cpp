// The sentinels on constructed images whose statistics are known.
#include <doctest/doctest.h>

#include <cmath>

#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/metrics/sentinels.hpp>

#include <tests/rewards/reward_checks.hpp>

namespace sentinels_test {
namespace {

using namespace reward_tuner;
using namespace reward_checks;

/// Black on the left half, white on the right half; [1,3,8,8].
Tensor halves() {
  Tensor image = at::zeros({1, 3, 8, 8}, at::kDouble);
  image.narrow(3, 4, 4).fill_(1);
  return image;
}
Tensor flat(double red, double green, double blue) {
  const Tensor color = at::tensor({red, green, blue}, at::kDouble).view({1, 3, 1, 1});
  return color.expand({1, 3, 8, 8}).contiguous();
}
double only(const Tensor& values) { return values.item<double>(); }

}  // namespace

TEST_CASE("sentinels: known values") {
  CHECK(only(edge_density(halves())) == doctest::Approx(8.0 / 64));  // the column left of the border
  CHECK(only(edge_density(halves().transpose(2, 3).contiguous())) == doctest::Approx(8.0 / 64));
  CHECK(only(edge_density(flat(0.2, 0.9, 0.4))) == 0);
  CHECK(only(color_entropy(halves())) == doctest::Approx(1));  // two colors, half each: one bit
  CHECK(only(color_entropy(flat(1, 0.5, 0))) == doctest::Approx(0));
  CHECK(only(saturation(flat(0.8, 0.4, 0.2))) == doctest::Approx(0.75));
  CHECK(only(saturation(flat(0, 0, 0))) == 0);
  CHECK(only(saturation(flat(3, 3, 3))) == 0);  // clamped
  CHECK(only(spatial_deviation(halves())) == doctest::Approx(0.5 * std::sqrt(64.0 / 63)));
  CHECK(only(spatial_deviation(flat(1, 0, 0))) == doctest::Approx(0));
}

TEST_CASE("sentinels: four equal quarters of different color have two bits, noise nearly six") {
  const Tensor quarters = at::cat({flat(0, 0, 0), flat(1, 0, 0), flat(0, 1, 0), flat(0, 0, 1)}, 3);  // [1,3,8,32]
  CHECK(only(color_entropy(quarters)) == doctest::Approx(2));
  Rng rng(1);
  const double noise = only(color_entropy(rng.uniform({1, 3, 128, 128}, at::kDouble)));
  CHECK(noise > 5.9);
  CHECK(noise <= 6);
}

TEST_CASE("sentinels: diversity is the mean distance of the pairs") {
  CHECK(only(pairwise_diversity(halves())) == 0);
  CHECK(only(pairwise_diversity(at::cat({halves(), halves(), halves()}))) == 0);
  CHECK(only(pairwise_diversity(at::cat({flat(0, 0, 0), flat(1, 1, 1)}))) == doctest::Approx(1));
  const Tensor images = random_images(4, 5, 6, 2);
  double total = 0;
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < i; ++j) total += std::sqrt((images[i] - images[j]).pow(2).mean().item<double>()) / 6;
  CHECK(only(pairwise_diversity(images)) == doctest::Approx(total).epsilon(1e-12));
}

TEST_CASE("sentinels: the summary averages over the batch and has no gradient") {
  const Tensor batch = at::cat({halves(), flat(0.8, 0.4, 0.2)}).requires_grad_();
  const auto summary = sentinels(batch);
  CHECK(summary.at("blank_share") == 0.5);
  CHECK(summary.at("color_entropy") == doctest::Approx(0.5));
  CHECK(summary.at("saturation") == doctest::Approx(0.375));
  CHECK(summary.size() == 6);
  CHECK_FALSE(edge_density(batch).requires_grad());
  CHECK_THROWS_AS(saturation(at::zeros({3, 8, 8})), Error);
}

}  // namespace sentinels_test
