// The caption grammar: every caption parses back to its meaning, and a foreign one is refused by name.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/shapes/shape_vocabulary.hpp>

namespace shape_vocabulary_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::shapes;

double distance(const Rgb& a, const Rgb& b) { return std::hypot(a.red - b.red, a.green - b.green, a.blue - b.blue); }

TEST_CASE("Caption: composing and parsing are inverse for every object, size, relation and background") {
  for (int shape = 0; shape < 6; ++shape)
    for (int color = 0; color < 8; ++color)
      for (const ObjectSize size : {ObjectSize::kUnnamed, ObjectSize::kSmall, ObjectSize::kLarge})
        for (int background = -1; background < 4; ++background)
          for (int relation = 0; relation < 6; ++relation) {
            Caption caption{{{shape, color, size}}, static_cast<Relation>(relation), std::nullopt};
            if (relation > 0) caption.objects.push_back({(shape + 1) % 6, (color + 3) % 8, ObjectSize::kUnnamed});
            if (background >= 0) caption.background = background;
            CHECK((parse_caption(compose_caption(caption)) == caption));
          }
}

TEST_CASE("Caption: examples of the wording") {
  CHECK(compose_caption({{{0, 5, ObjectSize::kUnnamed}}, Relation::kNone, std::nullopt}) == "an orange circle");
  CHECK(compose_caption({{{0, 0, ObjectSize::kUnnamed}, {1, 2, ObjectSize::kSmall}}, Relation::kLeftOf, 1}) ==
        "a red circle left of a small blue square on a grey background");
  const Caption star = parse_caption("A picture of the Large white STAR, on a navy background.");
  CHECK((star.objects == std::vector<CaptionObject>{{3, 7, ObjectSize::kLarge}}));
  CHECK(star.background.value() == 2);
  CHECK((parse_caption("red ring to the right of green cross").relation == Relation::kRightOf));
}

TEST_CASE("Caption: what does not fit the grammar is named") {
  CHECK_THROWS_WITH_AS(parse_caption("a red house"),
                       "[Caption] expected a shape at word 3, got \"house\" in \"a red house\"", Error);
  CHECK_THROWS_AS(parse_caption(""), Error);
  CHECK_THROWS_AS(parse_caption("a circle"), Error);
  CHECK_THROWS_AS(parse_caption("a red circle left a blue square"), Error);
  CHECK_THROWS_AS(parse_caption("a red circle and"), Error);
  CHECK_THROWS_AS(parse_caption("a red circle on a red background"), Error);
  CHECK_THROWS_AS(parse_caption("a red circle circle"), Error);
}

TEST_CASE("Vocabulary: object colors lie apart from each other and from every background, also a shaded one") {
  for (std::size_t i = 0; i < kObjectColors.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) CHECK(distance(kObjectColors[i].rgb, kObjectColors[j].rgb) > 0.3);
    for (const auto& background : kBackgroundColors)
      for (const float light : {0.65f, 1.0f, 1.35f}) {
        const Rgb back = background.rgb;
        CHECK(distance(kObjectColors[i].rgb, {back.red * light, back.green * light, back.blue * light}) > 0.3);
      }
  }
}

TEST_CASE("Vocabulary: held-out pairs name each shape once") {
  for (int shape = 0; shape < 6; ++shape)
    CHECK(std::count_if(kHeldOutPairs.begin(), kHeldOutPairs.end(),
                        [&](const auto& pair) { return pair.first == shape; }) == 1);
  CHECK(is_held_out(3, 0));
  CHECK_FALSE(is_held_out(0, 0));
}

}  // namespace
}  // namespace shape_vocabulary_test
