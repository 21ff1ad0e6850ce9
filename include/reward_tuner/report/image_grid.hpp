// Several rows of images as one: enlarged without blur, on white, with row labels at the left and captions under the
// columns.
#pragma once
#include <string>
#include <vector>

#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// How an image grid is laid out and labeled.
struct GridOptions {
  int scale = 2;                             ///< whole factor by which every pixel is enlarged
  int gap = 8;                               ///< blank pixels between images and around the grid
  std::vector<std::string> row_labels = {};  ///< empty, or one text per row ("before", "after")
  /// empty, or one text per column (prompts), wrapped to the image's width
  std::vector<std::string> column_labels = {};
  int text_scale = 2;             ///< pixels of a dot of the 5x7 font
  int row_label_characters = 12;  ///< row labels are wrapped at this many characters
  int max_caption_lines = 4;      ///< longer captions end in ".."
};
REWARD_TUNER_FIELDS(GridOptions, scale, gap, row_labels, column_labels, text_scale, row_label_characters,
                    max_caption_lines);

/// Lays out `rows`, each [N,3,H,W] floating point in [0,1] (clamped here), as one float image [3,H',W'] on the CPU.
/// Rows may have different N (missing places stay white) but one H and W. Labels beyond ASCII show '?'. No gradient.
/// Errors: no rows, other shapes, unequal H and W, a wrong number of labels, options below 1 (gap below 0).
Tensor image_grid(const std::vector<Tensor>& rows, const GridOptions& options = {});

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/report/image_grid.ipp>
#endif
