// Size, places, enlargement and labels of image grids.
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>
#include <torch/types.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/report/bitmap_font.hpp>
#include <reward_tuner/report/image_grid.hpp>

using namespace reward_tuner;

namespace {
namespace image_grid_test {

/// Number of dark pixels in a part of the grid.
std::int64_t ink(const Tensor& grid, std::int64_t top, std::int64_t height, std::int64_t left, std::int64_t width) {
  return grid[0].narrow(0, top, height).narrow(1, left, width).lt(0.5).sum().item<std::int64_t>();
}

std::int64_t dots(const std::string& text) {
  std::int64_t count = 0;
  for (const char character : text) {
    for (int row = 0; row < kGlyphHeight; ++row) {
      for (int column = 0; column < kGlyphWidth; ++column) count += glyph_dot(character, column, row);
    }
  }
  return count;
}

}  // namespace image_grid_test
}  // namespace

TEST_CASE("image_grid: images lie in their cells, enlarged by whole pixels, on white") {
  const Tensor images = at::arange(2 * 3 * 4 * 5).to(at::kFloat).div(200).reshape({2, 3, 4, 5});  // [N,3,H,W]
  const Tensor grid = image_grid({images, images.flip(0)}, {.scale = 3, .gap = 2});
  REQUIRE((grid.sizes() == at::IntArrayRef({3, 2 + 2 * (12 + 2), 2 + 2 * (15 + 2)})));
  for (std::int64_t row = 0; row < 2; ++row) {
    for (std::int64_t column = 0; column < 2; ++column) {
      const Tensor cell = grid.narrow(1, 2 + row * 14, 12).narrow(2, 2 + column * 17, 15);
      for (std::int64_t offset = 0; offset < 3; ++offset) {  // every pixel of a 3 x 3 block
        CHECK(at::equal(cell.slice(1, offset, 12, 3).slice(2, offset, 15, 3), images[(row + column) % 2]));
      }
    }
  }
  CHECK(grid.narrow(1, 0, 2).eq(1).all().item<bool>());
  CHECK(grid.narrow(2, 17, 2).eq(1).all().item<bool>());
}

TEST_CASE("image_grid: rows may be shorter; values are clamped; the input is not changed") {
  const Tensor wide = at::full({3, 3, 4, 4}, 2.0), narrow = at::full({1, 3, 4, 4}, -1.0);
  const Tensor grid = image_grid({wide, narrow}, {.scale = 1, .gap = 1});
  CHECK((grid.sizes() == at::IntArrayRef({3, 11, 16})));
  CHECK(grid.max().item<float>() == 1);
  CHECK(grid.narrow(1, 6, 4).narrow(2, 1, 4).eq(0).all().item<bool>());
  CHECK(grid.eq(0).sum().item<std::int64_t>() == 3 * 16);
  CHECK(narrow.eq(-1).all().item<bool>());
}

TEST_CASE("image_grid: row labels stand left of the images, captions below, each dot drawn once") {
  using namespace image_grid_test;
  const Tensor white = at::full({2, 3, 64, 64}, 1.0);
  const GridOptions options{
      .scale = 1, .gap = 4, .row_labels = {"before", "after"}, .column_labels = {"cat", "dog"}, .text_scale = 1};
  const Tensor grid = image_grid({white, white}, options);
  const std::int64_t label_width = 6 * kGlyphAdvance - 1, left = 4 + label_width + 4;
  REQUIRE((grid.sizes() == at::IntArrayRef({3, 4 + 2 * 68 + kGlyphHeight + 4, left + 2 * 68})));
  CHECK(ink(grid, 4, 64, 4, label_width) == dots("before"));
  CHECK(ink(grid, 72, 64, 4, label_width) == dots("after"));
  CHECK(ink(grid, 140, kGlyphHeight, left - 4, 68) == dots("cat"));
  CHECK(ink(grid, 140, kGlyphHeight, left + 64, 68) == dots("dog"));
  CHECK(ink(grid, 0, grid.size(1), 0, grid.size(2)) == dots("beforeaftercatdog"));
  // A dot at twice the size is four pixels.
  const Tensor doubled = image_grid({white}, {.scale = 1, .gap = 8, .column_labels = {"cat", "dog"}, .text_scale = 2});
  CHECK(ink(doubled, 0, doubled.size(1), 0, doubled.size(2)) == 4 * dots("catdog"));
}

TEST_CASE("image_grid: a long caption takes more lines, up to the limit, and never leaves its column") {
  using namespace image_grid_test;
  const Tensor white = at::full({2, 3, 40, 64}, 1.0);
  const std::string caption = "a large red circle left of a small blue square on a dark green background";
  const GridOptions options{
      .scale = 1, .gap = 4, .column_labels = {caption, ""}, .text_scale = 1, .max_caption_lines = 3};
  const Tensor grid = image_grid({white}, options);
  CHECK(grid.size(1) == 4 + 44 + text_height(3) + 4);
  CHECK(ink(grid, 48, text_height(3), 4 + 64 + 2, 64 + 4) == 0);
  CHECK(ink(grid, 48, text_height(3), 0, 4 + 64 + 2) > 100);
}

TEST_CASE("image_grid: what cannot be laid out is a named error") {
  const Tensor row = at::zeros({2, 3, 4, 4});
  CHECK_THROWS_AS(image_grid({}), Error);
  CHECK_THROWS_AS(image_grid({Tensor()}), Error);
  CHECK_THROWS_AS(image_grid({at::zeros({0, 3, 4, 4})}), Error);
  CHECK_THROWS_AS(image_grid({at::zeros({3, 4, 4})}), Error);
  CHECK_THROWS_AS(image_grid({at::zeros({2, 3, 4, 4}, at::kByte)}), Error);
  CHECK_THROWS_WITH_AS(image_grid({row, at::zeros({2, 3, 4, 5})}), doctest::Contains("images of one size"), Error);
  CHECK_THROWS_WITH_AS(image_grid({row}, {.row_labels = {"a", "b"}}), doctest::Contains("expected 1 row labels, got 2"),
                       Error);
  CHECK_THROWS_WITH_AS(image_grid({row}, {.column_labels = {"a"}}),
                       doctest::Contains("expected 2 column labels, got 1"), Error);
  CHECK_THROWS_AS(image_grid({row}, {.scale = 0}), Error);
}
