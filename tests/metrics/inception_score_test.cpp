// The inception score: closed forms, bounds, and images through a CLIP.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/metrics/inception_score.hpp>

#include <tests/rewards/reward_checks.hpp>

namespace inception_score_test {

using namespace reward_tuner;
using torch::Tensor;

TEST_CASE("inception score: closed forms") {
  const Tensor sure = 1000 * at::eye(5, at::kDouble);  // each image sure of a class of its own
  CHECK(inception_score(sure) == doctest::Approx(5));
  CHECK(inception_score(sure.repeat({3, 1})) == doctest::Approx(5));  // no more than the classes
  // nor than the images
  CHECK(inception_score(at::cat({sure, at::zeros({5, 4}, at::kDouble) - 1000}, 1)) == doctest::Approx(5));
  CHECK(inception_score(at::tensor({0.3, -2.0, 1.0}, at::kDouble).repeat({7, 1})) == doctest::Approx(1).epsilon(1e-12));
  CHECK(inception_score(at::zeros({6, 3})) == doctest::Approx(1).epsilon(1e-12));  // unsure of all
  CHECK(inception_score(at::zeros({1, 9})) == doctest::Approx(1).epsilon(1e-12));
  // Two images with p = (s, 1 - s) and (1 - s, s): p(y) is even, KL = ln 2 - H(s).
  for (const double temperature : {0.5, 1.0, 4.0}) {
    const double s = 1 / (1 + std::exp(-1.4 / temperature)), entropy = -s * std::log(s) - (1 - s) * std::log(1 - s);
    CHECK(inception_score(at::tensor({0.7, -0.7, -0.7, 0.7}, at::kDouble).view({2, 2}), temperature) ==
          doctest::Approx(2 * std::exp(-entropy)).epsilon(1e-12));
  }
  // Uneven: three sure of one class, one of another. KL = -ln f of the image's class.
  const Tensor uneven = 1000 * at::tensor({1, 0, 1, 0, 1, 0, 0, 1}, at::kDouble).view({4, 2});
  CHECK(inception_score(uneven) == doctest::Approx(std::exp(-0.75 * std::log(0.75) - 0.25 * std::log(0.25))));
}

TEST_CASE("inception score: between 1 and both sides, whatever the features") {
  Rng rng(4);
  for (const double scale : {1e-3, 1.0, 30.0, 1e6})
    for (const std::int64_t n : {1, 2, 5, 40})
      for (const std::int64_t k : {1, 3, 17}) {
        const Tensor features = scale * rng.normal({n, k});
        const double score = inception_score(features);
        CHECK(score >= 1);
        CHECK(score <= static_cast<double>(std::min(n, k)) * (1 + 1e-12));
        // a softmax knows no common offset
        CHECK(inception_score(features + 5) == doctest::Approx(score).epsilon(1e-4));
      }
}

TEST_CASE("inception score: images through a CLIP, in pieces as in one") {
  const auto clip = reward_checks::tiny_clip(2);
  const Tensor images = reward_checks::random_images(70, 8, 8, 5);
  const double score = inception_score(images, *clip);
  CHECK(score == doctest::Approx(inception_score(clip->image_embeddings(images))).epsilon(1e-10));
  CHECK(score > 1);
  CHECK(inception_score(images, *clip, 0.1) > score);
  CHECK(inception_score(images.narrow(0, 0, 1).repeat({70, 1, 1, 1}), *clip) == doctest::Approx(1).epsilon(1e-10));
  CHECK(inception_score(images * 3 - 1, *clip) ==
        doctest::Approx(inception_score((images * 3 - 1).clamp(0, 1), *clip)).epsilon(1e-12));
  const Tensor raw = clip->image_embeddings(images), unit = clip->image_features(images);
  CHECK((raw / raw.norm(2, {1}, true) - unit).abs().max().item<double>() < 1e-12);
}

TEST_CASE("inception score: wrong features, temperatures and images are named errors") {
  CHECK_THROWS_WITH_AS(inception_score(at::zeros({3})),
                       doctest::Contains("features [N,K] of at least one image and one label, got float of shape [3]"),
                       Error);
  CHECK_THROWS_WITH_AS(inception_score(Tensor()), doctest::Contains("an undefined tensor"), Error);
  CHECK_THROWS_AS(inception_score(at::zeros({0, 3})), Error);
  CHECK_THROWS_AS(inception_score(at::zeros({3, 3}, at::kLong)), Error);
  CHECK_THROWS_WITH_AS(inception_score(at::zeros({3, 3}), 0), doctest::Contains("a temperature > 0, got 0"), Error);
  CHECK_THROWS_WITH_AS(inception_score(at::full({1, 3}, std::numeric_limits<double>::quiet_NaN())),
                       doctest::Contains("finite features"), Error);
  CHECK_THROWS_WITH_AS(inception_score(at::zeros({1, 2, 8, 8}), *reward_checks::tiny_clip(1)),
                       doctest::Contains("[inception_score] expected images [B,3,H,W]"), Error);
}

}  // namespace inception_score_test
