// The caption font: shapes of some glyphs, that all differ, and how text is wrapped and shortened.
#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/report/bitmap_font.hpp>

using namespace reward_tuner;

namespace {
namespace bitmap_font_test {

std::string drawing(char character) {
  std::string rows;
  for (int row = 0; row < kGlyphHeight; ++row) {
    for (int column = 0; column < kGlyphWidth; ++column) rows += glyph_dot(character, column, row) ? '#' : '.';
    rows += '\n';
  }
  return rows;
}

using Lines = std::vector<std::string>;

}  // namespace bitmap_font_test
}  // namespace

TEST_CASE("bitmap_font: letters stand upright and descenders hang below the baseline") {
  using bitmap_font_test::drawing;
  CHECK(drawing('L') == "#....\n#....\n#....\n#....\n#....\n#....\n#####\n.....\n.....\n");
  CHECK(drawing('p') == ".....\n.....\n####.\n#...#\n#...#\n#...#\n####.\n#....\n#....\n");
  CHECK(drawing(' ').find('#') == std::string::npos);
  CHECK(drawing('\x01') == drawing('?'));
}

TEST_CASE("bitmap_font: all 95 characters look different") {
  std::set<std::string> drawings;
  for (char character = 32; character < 127; ++character) drawings.insert(bitmap_font_test::drawing(character));
  CHECK(drawings.size() == 95);
}

TEST_CASE("bitmap_font: text is wrapped at blanks, long words are cut, what is left over ends in dots") {
  using bitmap_font_test::Lines;
  CHECK(wrap_text("a red circle left of a blue square", 12, 9) == Lines{"a red circle", "left of a", "blue square"});
  CHECK(wrap_text("  two   words\n", 20, 1) == Lines{"two words"});
  CHECK(wrap_text("incomprehensible", 6, 9) == Lines{"incomp", "rehens", "ible"});
  CHECK(wrap_text("a red circle left of a blue square", 12, 2) == Lines{"a red circle", "left of a.."});
  CHECK(wrap_text("aaaa bbbb", 4, 1) == Lines{"aa.."});
  CHECK(wrap_text("", 4, 1).empty());
  CHECK(wrap_text("Zw\xC3\xB6lf \xE2\x82\xAC", 20, 1) == Lines{"Zw?lf ?"});
  CHECK_THROWS_AS(wrap_text("a", 2, 1), Error);
  CHECK_THROWS_AS(wrap_text("a", 5, 0), Error);
}

TEST_CASE("bitmap_font: extents") {
  CHECK(text_width({"abc", "a"}) == 17);
  CHECK(text_width({}) == 0);
  CHECK(text_height(1) == 9);
  CHECK(text_height(3) == 31);
}
