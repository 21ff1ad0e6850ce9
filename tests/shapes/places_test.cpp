// The places reward: distances in each direction by hand, objects that are missing, and rendered images of right and
// wrong captions.
#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <examples/pretrain/shape_images.hpp>
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/shapes/places.hpp>

namespace places_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::shapes;
using torch::Tensor;

DetectedObject seen(int shape, int color, double x, double y, double score = 1) {
  DetectedObject object{.shape = shape, .color = color, .x = x, .y = y, .area = 100, .confidence = score * score};
  object.shape_scores[static_cast<std::size_t>(shape)] = score;
  object.color_scores[static_cast<std::size_t>(color)] = score;
  return object;
}

double judge(const std::string& caption, const std::vector<DetectedObject>& found) {
  return judge_places(parse_caption(caption), found, 64);
}

}  // namespace

TEST_CASE("places: how far objects are apart in the direction that the caption names") {
  const DetectedObject red = seen(0, 0, 30, 40), blue = seen(1, 2, 38, 8);  // 8 apart to the side, 32 in height
  CHECK(judge("a red circle left of a blue square", {red, blue}) == 0.75);
  CHECK(judge("a red circle right of a blue square", {red, blue}) == 0.25);
  CHECK(judge("a blue square left of a red circle", {red, blue}) == 0.25);
  CHECK(judge("a red circle below a blue square", {red, blue}) == 1);
  CHECK(judge("a red circle above a blue square", {red, blue}) == 0);
  CHECK(judge_places(parse_caption("a red circle left of a blue square"), {red, blue}, 128) == 0.625);
}

TEST_CASE("places: unsure, missing and extra objects") {
  const DetectedObject red = seen(0, 0, 10, 32, 0.5), blue = seen(1, 2, 50, 32), green = seen(2, 1, 32, 32);
  CHECK(judge("a red circle left of a blue square", {red, blue}) == 0.5);
  CHECK(judge("a red circle left of a blue square", {blue, green, red}) == 0.5);
  CHECK(judge("a red circle left of a blue square", {blue}) == 0);
  CHECK(judge("a red circle left of a blue square", {}) == 0);
}

TEST_CASE("places: true captions score high and turned ones low on rendered images") {
  Rng rng(22);
  std::vector<Tensor> images;
  std::vector<std::string> right, turned;
  while (images.size() < 40) {
    const pretrain::Scene scene = pretrain::draw_scene(rng, {.two_objects = 1});
    Caption caption = pretrain::describe(scene, rng);
    if (!names_direction(caption.relation)) continue;
    images.push_back(pretrain::render(scene).image);
    right.push_back(compose_caption(caption));
    std::swap(caption.objects[0], caption.objects[1]);
    turned.push_back(compose_caption(caption));
  }
  const PlacesReward reward;
  const Tensor good = reward.score({at::stack(images), right}).values,
               bad = reward.score({at::stack(images), turned}).values;
  CHECK(good.mean().item<double>() > 0.85);
  CHECK(bad.mean().item<double>() < 0.15);
  CHECK((good.scalar_type() == at::kFloat));
}

TEST_CASE("places: half of a wide image's height is far enough, whichever side is shorter") {
  Tensor wide = at::zeros({3, 64, 128});  // [3,H,W]
  const auto square = [&](std::int64_t x, std::int64_t channel) {
    wide.narrow(1, 24, 16).narrow(2, x, 16).select(0, channel).fill_(0.9);
  };
  square(48, 0), square(58 + 6, 2);  // centers 16 apart: a quarter of 64
  const std::vector<std::string> caption{"a red square left of a blue square"};
  const PlacesReward reward;
  const double full = reward.score({wide.unsqueeze(0), caption}).values.item<double>();
  const double tall =
      reward.score({wide.transpose(1, 2).unsqueeze(0).contiguous(), {"a red square above a blue square"}})
          .values.item<double>();
  wide.zero_();
  square(8, 0), square(104, 2);  // as far apart as can be
  const double most = reward.score({wide.unsqueeze(0), caption}).values.item<double>();
  CHECK(most > 0.7);
  CHECK(full == doctest::Approx(most).epsilon(0.03));  // of the longer side it would be three quarters
  CHECK(tall == doctest::Approx(most).epsilon(0.03));
}

TEST_CASE("places: captions without a direction, foreign and missing prompts") {
  const Tensor blank = at::full({1, 3, 64, 64}, 0.3);
  CHECK(PlacesReward().score({blank, {"a red circle left of a blue square"}}).values.item<double>() == 0);
  for (const char* prompt : {"a red circle", "a red circle and a blue square"})
    CHECK_THROWS_WITH_AS(PlacesReward().score({blank, {prompt}}), doctest::Contains(prompt), Error);
  CHECK_THROWS_WITH_AS(PlacesReward().score({blank, {"a cat"}}), doctest::Contains("[Caption]"), Error);
  CHECK_THROWS_WITH_AS(PlacesReward().score({blank, {}}), doctest::Contains("one prompt per image"), Error);
}

}  // namespace places_test
