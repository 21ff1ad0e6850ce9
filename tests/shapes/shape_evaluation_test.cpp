// The shape metrics of an evaluation: only where every prompt is a caption of the shape language.
#include <doctest/doctest.h>

#include <reward_tuner/shapes/shape_evaluation.hpp>

using namespace reward_tuner::shapes;

TEST_CASE("shape evaluation: captions get the detector's metrics, other prompts nothing") {
  REQUIRE(shape_evaluation_rewards({"a red circle", "a blue star above a green ring"}).size() == 1);
  CHECK(shape_evaluation_rewards({"a red circle"})[0].name == "shape_score");
  CHECK(shape_evaluation_rewards({"a red circle", "a circle"}).empty());  // no color
  CHECK(shape_evaluation_rewards({}).empty());
  CHECK(is_caption("a picture of a large white star on a navy background"));
  CHECK_FALSE(is_caption(""));
}
