// ObjectnessReward against transformers' answers (tests/golden/make_reward_model_golden.py), its gradient and its
// errors.
#include <doctest/doctest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/rewards/objectness.hpp>

#include <tests/reference/golden_reward_models.hpp>
#include <tests/rewards/golden_owl_vit.hpp>
#include <tests/rewards/reward_checks.hpp>

namespace objectness_test {

using namespace reward_tuner;
using namespace reward_checks;

TEST_CASE("objectness: the original's score and image gradient") {
  const ObjectnessReward reward(golden_owl_vit());
  const auto want = SafetensorsFile::open(golden::kData / "owl_vit" / "expected.safetensors");
  const Tensor images = want.tensor("images").clone().requires_grad_();
  const RewardResult result = reward.score({images, golden::kPrompts});
  CHECK(relative_error(result.values, want.tensor("score")) < 1e-5);
  CHECK(relative_error(torch::autograd::grad({result.values.sum()}, {images})[0], want.tensor("grad")) < 1e-5);
  CHECK(result.components.at("objectness").equal(result.values.detach()));
}

TEST_CASE("objectness: a query of its own asks every image for the same, whatever the prompts") {
  const auto owl = golden_owl_vit(at::kDouble);
  const Tensor images = random_images(2, 12, 12, 1);
  const Tensor asked = ObjectnessReward(owl, {.query = "a zebra"}).score({images, {"a cat", "a dog"}}).values;
  CHECK(relative_error(ObjectnessReward(owl).score({images, {"a zebra", "a zebra"}}).values, asked) < 1e-12);
  CHECK(asked.equal(ObjectnessReward(owl, {.query = "a zebra"}).score({images, {}}).values));
}

TEST_CASE("objectness: the gradient equals central differences, through the resize too") {
  const ObjectnessReward reward(golden_owl_vit(at::kDouble));
  const Tensor images = random_images(1, 9, 11, 4);
  const auto f = [&](const Tensor& x) { return reward.score({x, {"a red cat"}}).values.sum(); };
  CHECK(relative_error(gradient(f, images), central_differences(f, images)) < 1e-6);
}

TEST_CASE("objectness: what does not fit is named") {
  CHECK_THROWS_WITH_AS(ObjectnessReward(nullptr), doctest::Contains("expected an OWL-ViT, got none"), Error);
  const auto owl = golden_owl_vit(at::kDouble);
  CHECK_THROWS_WITH_AS(ObjectnessReward(owl, {.leak = -1}), doctest::Contains("leak"), Error);
  CHECK_THROWS_WITH_AS(ObjectnessReward(owl).score({random_images(2, 8, 8, 5), {"a"}}),
                       doctest::Contains("one prompt per image (2), got 1"), Error);
}

}  // namespace objectness_test
