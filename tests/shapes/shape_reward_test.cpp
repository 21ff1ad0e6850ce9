// The shape reward: captions judged against detections, and true captions against false ones on rendered images.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>

#include <examples/pretrain/shape_images.hpp>
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/shapes/shape_reward.hpp>

#include <tests/rewards/reward_checks.hpp>

namespace shape_reward_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::shapes;
using torch::Tensor;

DetectedObject sure(int shape, int color, double x, double y) {
  DetectedObject object{.shape = shape, .color = color, .x = x, .y = y, .area = 100, .confidence = 1};
  object.shape_scores[static_cast<std::size_t>(shape)] = 1;
  object.color_scores[static_cast<std::size_t>(color)] = 1;
  return object;
}

}  // namespace

TEST_CASE("shape reward: what a judgment counts") {
  const DetectedObject red_circle = sure(0, 0, 16, 32), blue_square = sure(1, 2, 48, 32);
  CHECK(judge_shapes(parse_caption("a red circle"), {red_circle}).value == 1);
  CHECK(judge_shapes(parse_caption("a blue circle"), {red_circle}).value == 0.5);
  CHECK(judge_shapes(parse_caption("a blue star"), {red_circle}).value == 0);
  CHECK(judge_shapes(parse_caption("a red circle"), {}).value == 0);
  CHECK(judge_shapes(parse_caption("a red circle"), {blue_square, red_circle}).value == 0.5);  // one object too many
  CHECK(judge_shapes(parse_caption("a red circle left of a blue square"), {blue_square, red_circle}).value == 1);
  CHECK(judge_shapes(parse_caption("a red circle and a blue square"), {blue_square, red_circle}).value == 1);
  const ShapeJudgment swapped =
      judge_shapes(parse_caption("a red circle right of a blue square"), {red_circle, blue_square});
  CHECK(swapped.value == doctest::Approx(2.0 / 3));
  CHECK(swapped.relation_accuracy == 0);
  CHECK(swapped.color_accuracy == 1);
  CHECK(judge_shapes(parse_caption("a red circle above a blue square"), {red_circle, blue_square}).relation_accuracy ==
        0);
  const ShapeJudgment half = judge_shapes(parse_caption("a red circle left of a blue square"), {red_circle});
  CHECK(half.value == doctest::Approx(1.0 / 3));
  CHECK(half.shape_accuracy == 0.5);
}

TEST_CASE("shape reward: true captions score high and wrong ones low on rendered images") {
  Rng rng(21);
  std::vector<Tensor> images;
  std::vector<std::string> right, wrong;
  for (int i = 0; i < 60; ++i) {
    const pretrain::Scene scene = pretrain::draw_scene(rng, {.two_objects = 0.5});
    Caption caption = pretrain::describe(scene, rng);
    images.push_back(pretrain::render(scene).image);
    right.push_back(compose_caption(caption));
    for (CaptionObject& object : caption.objects)
      object.color = (object.color + 3) % 8, object.shape = (object.shape + 1) % 6;
    wrong.push_back(compose_caption(caption));
  }
  const ShapeReward reward;
  const RewardResult good = reward.score({at::stack(images), right}), bad = reward.score({at::stack(images), wrong});
  CHECK(good.values.mean().item<double>() > 0.9);
  CHECK(good.values.min().item<double>() > 0.6);
  CHECK(bad.values.mean().item<double>() < 0.35);
  for (const char* name : {"color_accuracy", "shape_accuracy", "relation_accuracy"})
    CHECK(good.components.at(name).mean().item<double>() >= 0.97);
  CHECK(good.components.at("blank").sum().item<double>() == 0);
  CHECK(good.components.at("coverage").min().item<double>() > 0.02);
  CHECK((good.values.scalar_type() == at::kFloat));
}

TEST_CASE("shape reward: blank images, foreign prompts and missing prompts") {
  const Tensor blank = at::full({1, 3, 64, 64}, 0.3);
  const RewardResult result = ShapeReward().score({blank, {"a red circle"}});
  CHECK(result.components.at("blank").item<double>() == 1);
  CHECK(result.components.at("coverage").item<double>() == 0);
  CHECK(result.values.item<double>() == 0);
  CHECK_THROWS_WITH_AS(ShapeReward().score({blank, {"a cat"}}), doctest::Contains("[Caption]"), Error);
  CHECK_THROWS_WITH_AS(ShapeReward().score({blank, {}}), doctest::Contains("one prompt per image"), Error);
}

}  // namespace shape_reward_test
