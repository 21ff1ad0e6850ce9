// PickScore on a tiny random CLIP: the scaled cosine, its gradient, its errors.
#include <doctest/doctest.h>

#include <torch/types.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/rewards/pick_score.hpp>

#include <tests/rewards/reward_checks.hpp>

namespace pick_score_test {

using namespace reward_tuner;
using namespace reward_checks;

TEST_CASE("pick score: CLIP's own scale times the cosine, with its gradient") {
  const auto clip = tiny_clip(4);
  const Tensor images = random_images(2, 11, 9, 1);
  const RewardResult result = PickScoreReward(clip).score({images, {"red ring", "cross"}});
  const Tensor cosine = ClipScoreReward(clip).score({images, {"red ring", "cross"}}).values;  // [2]
  CHECK(clip->scale().item<double>() != doctest::Approx(1));
  CHECK(relative_error(result.values, clip->scale() * cosine) < 1e-14);
  CHECK(result.components.at("pick_score").equal(result.values.detach()));
  const auto f = [&](const Tensor& x) { return PickScoreReward(clip).score({x, {"red ring", "cross"}}).values.sum(); };
  CHECK(relative_error(gradient(f, images), central_differences(f, images)) < 1e-6);
}

TEST_CASE("pick score: no CLIP, a leak out of range and missing prompts are named") {
  CHECK_THROWS_WITH_AS(PickScoreReward(nullptr),
                       doctest::Contains("expected a CLIP with PickScore's weights, got none"), Error);
  CHECK_THROWS_WITH_AS(PickScoreReward(tiny_clip(1), {.leak = -1}), doctest::Contains("leak must be in [0, 1], got -1"),
                       Error);
  CHECK_THROWS_WITH_AS(PickScoreReward(tiny_clip(1)).score({random_images(2, 8, 8, 5), {"a"}}),
                       doctest::Contains("one prompt per image (2), got 1"), Error);
}

}  // namespace pick_score_test
