// HPS on a tiny random CLIP: the cosine of the letterboxed image, both kinds of resize, what is printed, its errors.
#include <doctest/doctest.h>

#include <string>

#include <ATen/ops/constant_pad_nd.h>
#include <torch/types.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/rewards/hps.hpp>

#include <tests/rewards/reward_checks.hpp>

namespace hps_test {

using namespace reward_tuner;
using namespace reward_checks;

TEST_CASE("hps: a wide image is scored with black above and below, one of the tower's width too") {
  const NoteScope quiet([](const std::string&) {});
  const auto clip = tiny_clip(4);
  const Tensor images = random_images(2, 5, 8, 1);
  const Tensor padded = at::constant_pad_nd(images, {0, 0, 1, 2});  // [2,3,8,8]
  const RewardResult result = HpsReward(clip).score({images, {"red ring", "cross"}});
  const Tensor cosine = (clip->image_features(padded) * clip->text_features({"red ring", "cross"})).sum(-1);  // [2]
  CHECK(relative_error(result.values, cosine) < 1e-14);
  CHECK(result.components.at("hps").equal(result.values.detach()));
}

TEST_CASE("hps: the gradient equals central differences, with and without antialias, which score differently") {
  const NoteScope quiet([](const std::string&) {});
  const auto clip = tiny_clip(4);
  const Tensor images = random_images(2, 13, 9, 2);
  Tensor scores[2];
  for (const bool antialias : {false, true}) {
    const HpsReward reward(clip, {.antialias = antialias});
    const auto f = [&](const Tensor& x) { return reward.score({x, {"red ring", "cross"}}).values.sum(); };
    CHECK(relative_error(gradient(f, images), central_differences(f, images)) < 1e-6);
    scores[antialias ? 1 : 0] = f(images);
  }
  CHECK((scores[0] - scores[1]).abs().item<double>() > 1e-4);
}

TEST_CASE("hps: says how it resizes") {
  std::string said;
  const NoteScope scope([&](const std::string& text) { said += text; });
  const HpsReward with(tiny_clip(1));
  CHECK(said.find("with antialias, as by torchvision 0.17 and newer") != std::string::npos);
  const HpsReward without(tiny_clip(1), {.antialias = false});
  CHECK(said.find("without antialias, as by torchvision before 0.17") != std::string::npos);
}

TEST_CASE("hps: no CLIP, a leak out of range and missing prompts are named") {
  const NoteScope quiet([](const std::string&) {});
  CHECK_THROWS_WITH_AS(HpsReward(nullptr), doctest::Contains("expected a CLIP with HPS's weights, got none"), Error);
  CHECK_THROWS_WITH_AS(HpsReward(tiny_clip(1), {.leak = 2}), doctest::Contains("leak must be in [0, 1], got 2"), Error);
  CHECK_THROWS_WITH_AS(HpsReward(tiny_clip(1)).score({random_images(2, 8, 8, 5), {"a"}}),
                       doctest::Contains("one prompt per image (2), got 1"), Error);
}

}  // namespace hps_test
