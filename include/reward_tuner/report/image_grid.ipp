// Definitions of image_grid.hpp.
#pragma once
#include <reward_tuner/report/image_grid.hpp>

#include <ATen/ops/full.h>

#include <algorithm>
#include <cstdint>
#include <tuple>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/report/bitmap_font.hpp>

namespace reward_tuner {

namespace detail {

constexpr float kInk = 0.13F;  // near black, as text on white looks softer than pure black

/// Draws lines of text with the top left corner at (left, top); every line is centered in `width` pixels when width >
/// 0. canvas [3,H,W].
inline void draw_text(Tensor& canvas, const std::vector<std::string>& lines, std::int64_t left, std::int64_t top,
                      std::int64_t width, int text_scale) {
  const std::int64_t canvas_height = canvas.size(1), canvas_width = canvas.size(2);
  const std::int64_t plane = canvas_height * canvas_width;
  auto* pixels = canvas.mutable_data_ptr<float>();
  const auto dot = [&](std::int64_t x, std::int64_t y) {
    for (std::int64_t row = y; row < std::min(y + text_scale, canvas_height); ++row) {
      for (std::int64_t column = x; column < std::min(x + text_scale, canvas_width); ++column) {
        for (std::int64_t channel = 0; channel < 3; ++channel)
          pixels[channel * plane + row * canvas_width + column] = kInk;
      }
    }
  };
  for (std::size_t number = 0; number < lines.size(); ++number) {
    const std::int64_t ink_width = static_cast<std::int64_t>(text_width({lines[number]})) * text_scale;
    const std::int64_t indent = width > 0 ? std::max<std::int64_t>(0, (width - ink_width) / 2) : 0;
    for (std::size_t place = 0; place < lines[number].size(); ++place) {
      for (int row = 0; row < kGlyphHeight; ++row) {
        for (int column = 0; column < kGlyphWidth; ++column) {
          if (!glyph_dot(lines[number][place], column, row)) continue;
          dot(left + indent + (static_cast<std::int64_t>(place) * kGlyphAdvance + column) * text_scale,
              top + (static_cast<std::int64_t>(number) * kLineAdvance + row) * text_scale);
        }
      }
    }
  }
}

}  // namespace detail

REWARD_TUNER_INLINE Tensor image_grid(const std::vector<Tensor>& rows, const GridOptions& options) {
  REWARD_TUNER_CHECK(!rows.empty(), "[image_grid] expected at least one row of images, got none");
  REWARD_TUNER_CHECK(options.scale >= 1 && options.text_scale >= 1 && options.gap >= 0,
                     "[image_grid] expected scale >= 1, text_scale >= 1 and gap >= 0, got ", options.scale, ", ",
                     options.text_scale, " and ", options.gap);
  REWARD_TUNER_CHECK(options.row_label_characters >= 3 && options.max_caption_lines >= 1,
                     "[image_grid] expected row_label_characters >= 3 and max_caption_lines >= 1, got ",
                     options.row_label_characters, " and ", options.max_caption_lines);
  std::int64_t columns = 0;
  for (const Tensor& row : rows) {
    REWARD_TUNER_CHECK(row.defined() && row.dim() == 4 && row.size(1) == 3 && row.is_floating_point(),
                       "[image_grid] expected rows of floating-point images [N,3,H,W], got ",
                       row.defined() ? row.toString() : std::string("an undefined tensor"), " of shape ",
                       row.defined() ? row.sizes() : at::IntArrayRef{});
    REWARD_TUNER_CHECK(row.sizes().slice(2) == rows[0].sizes().slice(2),
                       "[image_grid] expected images of one size, got shapes ", rows[0].sizes(), " and ", row.sizes());
    columns = std::max(columns, row.size(0));
  }
  REWARD_TUNER_CHECK(columns > 0 && rows[0].size(2) > 0 && rows[0].size(3) > 0,
                     "[image_grid] expected images, got only empty rows");
  const auto& [row_labels, column_labels] = std::tie(options.row_labels, options.column_labels);
  REWARD_TUNER_CHECK(row_labels.empty() || row_labels.size() == rows.size(), "[image_grid] expected ", rows.size(),
                     " row labels, got ", row_labels.size());
  REWARD_TUNER_CHECK(column_labels.empty() || static_cast<std::int64_t>(column_labels.size()) == columns,
                     "[image_grid] expected ", columns, " column labels, got ", column_labels.size());

  const std::int64_t gap = options.gap, dot = options.text_scale;
  const std::int64_t height = rows[0].size(2) * options.scale, width = rows[0].size(3) * options.scale;
  std::vector<std::vector<std::string>> labels, captions;
  std::int64_t label_width = 0, caption_height = 0;
  for (const std::string& text : row_labels) {
    const int fitting = static_cast<int>((height / dot - kGlyphHeight) / kLineAdvance) + 1;
    labels.push_back(wrap_text(text, options.row_label_characters, std::max(1, fitting)));
    label_width = std::max(label_width, text_width(labels.back()) * dot);
  }
  // A caption may use its column's width and half of the gaps on either side, less one blank dot between neighbors.
  const std::int64_t caption_width = width + std::max<std::int64_t>(0, gap - 2 * dot);
  const int caption_characters =
      std::max(3, static_cast<int>((caption_width / dot + kGlyphAdvance - kGlyphWidth) / kGlyphAdvance));
  for (const std::string& text : column_labels) {
    captions.push_back(wrap_text(text, caption_characters, options.max_caption_lines));
    caption_height = std::max(caption_height, text_height(static_cast<int>(captions.back().size())) * dot);
  }

  const std::int64_t left = gap + (label_width > 0 ? label_width + std::max(gap, 4 * dot) : 0);
  const std::int64_t total_width = left + columns * (width + gap);
  const std::int64_t total_height =
      gap + static_cast<std::int64_t>(rows.size()) * (height + gap) + (caption_height > 0 ? caption_height + gap : 0);
  Tensor canvas = at::full({3, total_height, total_width}, 1.0, at::kFloat);  // [3,H',W']
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const std::int64_t top = gap + static_cast<std::int64_t>(r) * (height + gap);
    // [N,3,H*scale,W*scale]
    const Tensor row = rows[r]
                           .detach()
                           .to(at::kCPU, at::kFloat)
                           .nan_to_num(0, 1, 0)
                           .clamp(0, 1)
                           .repeat_interleave(options.scale, 2)
                           .repeat_interleave(options.scale, 3);
    for (std::int64_t column = 0; column < row.size(0); ++column) {
      // [3,H*scale,W*scale]
      canvas.narrow(1, top, height).narrow(2, left + column * (width + gap), width).copy_(row[column]);
    }
    if (labels.empty()) continue;
    const std::int64_t text = text_height(static_cast<int>(labels[r].size())) * dot;
    detail::draw_text(canvas, labels[r], gap, top + std::max<std::int64_t>(0, (height - text) / 2), 0,
                      options.text_scale);
  }
  for (std::size_t column = 0; column < captions.size(); ++column) {
    const std::int64_t middle = left + static_cast<std::int64_t>(column) * (width + gap) + width / 2;
    detail::draw_text(canvas, captions[column], middle - caption_width / 2, total_height - caption_height - gap,
                      caption_width, options.text_scale);
  }
  return canvas;
}

}  // namespace reward_tuner
