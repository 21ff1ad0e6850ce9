// CLIPScore on a tiny random CLIP: the cosine of the two features, its gradient, its errors.
#include <doctest/doctest.h>

#include <cmath>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/clip_score.hpp>

#include <tests/rewards/reward_checks.hpp>

namespace clip_score_test {

using namespace reward_tuner;
using namespace reward_checks;

TEST_CASE("clip score: the cosine of image and prompt features, by plain loops") {
  const auto clip = tiny_clip(2);
  const RewardInput input{random_images(3, 8, 8, 1), {"red", "a blue star", "ring"}};
  const RewardResult result = ClipScoreReward(clip).score(input);
  const Tensor image = clip->image_features(input.images), text = clip->text_features(input.prompts);  // [3,6]
  for (std::int64_t i = 0; i < 3; ++i) {
    double dot = 0, a = 0, b = 0;
    for (std::int64_t j = 0; j < image.size(1); ++j) {
      const double x = image[i][j].item<double>(), y = text[i][j].item<double>();
      dot += x * y, a += x * x, b += y * y;
    }
    CHECK(result.values[i].item<double>() == doctest::Approx(dot / std::sqrt(a * b)).epsilon(1e-12));
  }
  CHECK(result.components.at("clip_score").equal(result.values.detach()));
}

TEST_CASE("clip score: the gradient equals central differences, through the resize too") {
  const auto clip = tiny_clip(3);
  for (const std::int64_t side : {8, 11}) {
    const Tensor images = random_images(2, side, side, 4);
    const auto f = [&](const Tensor& x) {
      return ClipScoreReward(clip).score({x, {"red ring", "cross"}}).values.sum();
    };
    CHECK(relative_error(gradient(f, images), central_differences(f, images)) < 1e-6);
  }
}

TEST_CASE("clip score: a missing CLIP and missing prompts are named") {
  const Tensor images = random_images(2, 8, 8, 5);
  CHECK_THROWS_WITH_AS(ClipScoreReward().score({images, {"", ""}}), doctest::Contains("expected a CLIP, got none"),
                       Error);
  CHECK_THROWS_WITH_AS(ClipScoreReward(tiny_clip(1)).score({images, {"a"}}),
                       doctest::Contains("one prompt per image (2), got 1"), Error);
}

}  // namespace clip_score_test
