// The composition reward: Eq. 13 on detections by hand, equal objects, and rendered images of right and wrong
// captions.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>

#include <examples/pretrain/shape_images.hpp>
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/shapes/composition.hpp>

namespace composition_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::shapes;
using torch::Tensor;

/// A detection that is a (shape, color) with the given scores.
DetectedObject seen(int shape, int color, double shape_score = 1, double color_score = 1) {
  DetectedObject object{
      .shape = shape, .color = color, .x = 32, .y = 32, .area = 100, .confidence = shape_score * color_score};
  object.shape_scores[static_cast<std::size_t>(shape)] = shape_score;
  object.color_scores[static_cast<std::size_t>(color)] = color_score;
  return object;
}

CompositionJudgment judge(const char* caption, const std::vector<DetectedObject>& found) {
  return judge_composition(parse_caption(caption), found);
}

using Numbers = std::vector<double>;

}  // namespace

TEST_CASE("composition: confidences of detections by hand") {
  const DetectedObject red_circle = seen(0, 0, 0.5, 0.5), sure_red_circle = seen(0, 0, 0.75, 1),
                       blue_square = seen(1, 2);
  CHECK(judge("a red circle and a blue square", {red_circle, blue_square}).confidences == Numbers{0.25, 1});
  CHECK(judge("a red circle and a blue square", {red_circle, blue_square}).found == 1);
  // the largest; 0 if absent
  CHECK(judge("a red circle and a blue square", {red_circle, sure_red_circle}).confidences == Numbers{0.75, 0});
  CHECK(judge("a red circle and a blue square", {red_circle}).found == 0.5);
  CHECK(judge("a red circle and a blue square", {}).confidences == Numbers{0, 0});
  CHECK(judge("a blue circle", {red_circle, blue_square}).confidences == Numbers{0});  // both words, but of two objects
  CHECK(judge("a small blue square left of a red circle on a navy background", {red_circle, blue_square}).confidences ==
        Numbers{1, 0.25});
  // more objects cost nothing
  CHECK(judge("a red circle", {red_circle, blue_square, blue_square}).confidences == Numbers{0.25});
}

TEST_CASE("composition: two equal objects want two detections") {
  const DetectedObject one = seen(0, 0), weaker = seen(0, 0, 0.5);
  CHECK(judge("a red circle and a red circle", {one}).confidences == Numbers{1, 0});
  CHECK(judge("a red circle and a red circle", {one}).found == 0.5);
  CHECK(judge("a red circle and a red circle", {weaker, one}).confidences == Numbers{1, 0.5});
  CHECK(judge("a red circle and a red circle", {weaker, one}).found == 1);
  // sizes make no other class
  CHECK(judge("a small red circle above a large red circle", {one}).confidences == Numbers{1, 0});
}

TEST_CASE("composition: rendered images of their own captions and of others") {
  Rng rng(8);
  std::vector<Tensor> images;
  std::vector<std::string> right, wrong;
  for (int i = 0; i < 40; ++i) {
    const pretrain::Scene scene = pretrain::draw_scene(rng, {.two_objects = 1});
    Caption caption = pretrain::describe(scene, rng);
    images.push_back(pretrain::render(scene).image);
    right.push_back(compose_caption(caption));
    std::swap(caption.objects[0].color, caption.objects[1].color);  // bound to the wrong shapes
    if (caption.objects[0].color == caption.objects[1].color || caption.objects[0].shape == caption.objects[1].shape)
      caption.objects[0].color = (caption.objects[0].color + 3) % 8,
      caption.objects[1].color = (caption.objects[1].color + 3) % 8;
    wrong.push_back(compose_caption(caption));
  }
  const CompositionReward reward;
  static_assert(!CompositionReward::kDifferentiable && !CompositionReward::kPerGroup);
  const RewardResult good = reward.score({at::stack(images).requires_grad_(), right}),
                     bad = reward.score({at::stack(images), wrong});
  CHECK(good.values.mean().item<double>() > 0.9);
  CHECK(good.components.at("all_objects").mean().item<double>() >= 0.97);
  CHECK(good.components.at("object_confidence").equal(good.values));
  CHECK((good.components.at("least_confidence") <= good.values).all().item<bool>());
  CHECK_FALSE(good.values.requires_grad());
  CHECK((good.values.scalar_type() == at::kFloat));
  CHECK(bad.values.mean().item<double>() < 0.05);
  CHECK(bad.components.at("objects_found").sum().item<double>() == 0);
  CHECK(bad.components.at("all_objects").sum().item<double>() == 0);
}

TEST_CASE("composition: blank images, foreign prompts and missing prompts") {
  const Tensor blank = at::full({1, 3, 64, 64}, 0.3);
  CHECK(CompositionReward().score({blank, {"a red circle and a blue star"}}).values.item<double>() == 0);
  CHECK_THROWS_WITH_AS(CompositionReward().score({blank, {"a cat"}}), doctest::Contains("[Caption]"), Error);
  CHECK_THROWS_WITH_AS(CompositionReward().score({blank, {}}),
                       doctest::Contains("[CompositionReward] expected one prompt per image (1), got 0"), Error);
  CHECK(AnyReward(CompositionReward()).name() == "composition");
}

}  // namespace composition_test
