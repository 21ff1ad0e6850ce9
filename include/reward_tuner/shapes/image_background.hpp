// Separates objects from background in one image: a robust plane through the border's colors, and the connected pieces
// that differ from it.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include <reward_tuner/shapes/shape_vocabulary.hpp>

namespace reward_tuner::shapes::detail {

/// An image of `height * width` pixels with its background, color = a + b*u + c*v per channel with u, v in [-1,1].
class ImageBackground {
 public:
  int height, width;

  /// `rgb` is planar [3,height,width]; values are clamped to [0,1], and what is not a number counts as 0.
  ImageBackground(const float* rgb, int h, int w) : height(h), width(w), pixels_(count()), smooth_(count()) {
    const auto value = [&](std::size_t i) { return rgb[i] > 0 ? std::min(rgb[i], 1.0f) : 0.0f; };
    for (std::size_t p = 0; p < count(); ++p) pixels_[p] = {value(p), value(count() + p), value(2 * count() + p)};
    smooth();
    fit();
  }

  Rgb pixel(int p) const { return pixels_[static_cast<std::size_t>(p)]; }
  /// Mean over the 3x3 neighbors.
  Rgb smooth_pixel(int p) const { return smooth_[static_cast<std::size_t>(p)]; }
  Rgb background(int p) const {
    const double u = across(p), v = down(p);
    const auto channel = [&](int c) { return static_cast<float>(plane_[c][0] + plane_[c][1] * u + plane_[c][2] * v); };
    return {channel(0), channel(1), channel(2)};
  }

  Rgb median_color(const std::vector<int>& pixels) const {
    const auto median = [&](float Rgb::*channel) {
      std::vector<float> values;
      for (const int p : pixels) values.push_back(pixel(p).*channel);
      if (values.empty()) return 0.0f;
      const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
      std::nth_element(values.begin(), middle, values.end());
      return *middle;
    };
    return {median(&Rgb::red), median(&Rgb::green), median(&Rgb::blue)};
  }

  /// 1 where the smoothed image is further than 0.2 from the background; no object color is nearer than 0.4 to any
  /// background.
  std::vector<char> foreground() const {
    std::vector<char> mask(count());
    for (int p = 0; p < height * width; ++p)
      mask[static_cast<std::size_t>(p)] = apart(smooth_pixel(p), background(p)) > 0.2;
    return mask;
  }

 private:
  std::size_t count() const { return static_cast<std::size_t>(height) * static_cast<std::size_t>(width); }
  double across(int p) const { return (p % width + 0.5) / width * 2 - 1; }
  double down(int p) const { return (p / width + 0.5) / height * 2 - 1; }
  static double apart(const Rgb& a, const Rgb& b) {
    return std::hypot(a.red - b.red, a.green - b.green, a.blue - b.blue);
  }

  void smooth() {
    for (int row = 0; row < height; ++row)
      for (int column = 0; column < width; ++column) {
        Rgb sum;
        float n = 0;
        for (int r = std::max(0, row - 1); r <= std::min(height - 1, row + 1); ++r)
          for (int c = std::max(0, column - 1); c <= std::min(width - 1, column + 1); ++c) {
            const Rgb& here = pixels_[static_cast<std::size_t>(r * width + c)];
            sum.red += here.red, sum.green += here.green, sum.blue += here.blue, n += 1;
          }
        smooth_[static_cast<std::size_t>(row * width + column)] = {sum.red / n, sum.green / n, sum.blue / n};
      }
  }

  // Reweighted least squares from the border's median on: an object that crosses the border is outvoted.
  void fit() {
    std::vector<int> border;
    for (int p = 0; p < height * width; ++p) {
      const int row = p / width, column = p % width;
      if (std::min({row, column, height - 1 - row, width - 1 - column}) < 2) border.push_back(p);
    }
    const Rgb start = median_color(border);
    plane_ = {{{start.red, 0, 0}, {start.green, 0, 0}, {start.blue, 0, 0}}};
    for (const double scale : {0.2, 0.15, 0.1, 0.08, 0.06, 0.06}) {
      double m[3][3] = {}, right[3][3] = {};  // normal equations; right[channel][unknown]
      for (const int p : border) {
        const double off = apart(pixel(p), background(p)) / scale, weight = 1 / ((1 + off * off) * (1 + off * off));
        const double basis[3] = {1, across(p), down(p)};
        const double color[3] = {pixel(p).red, pixel(p).green, pixel(p).blue};
        for (int i = 0; i < 3; ++i)
          for (int j = 0; j < 3; ++j) {
            m[i][j] += weight * basis[i] * basis[j];
            right[j][i] += weight * basis[i] * color[j];
          }
      }
      for (int i = 0; i < 3; ++i) m[i][i] += 1e-6;  // keeps the system solvable when one side carries all weight
      const auto det = [](const double(&a)[3][3]) {
        return a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1]) - a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0]) +
               a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0]);
      };
      const double whole = det(m);
      for (int channel = 0; channel < 3; ++channel)
        for (int unknown = 0; unknown < 3; ++unknown) {  // Cramer's rule
          double changed[3][3];
          for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j) changed[i][j] = j == unknown ? right[channel][i] : m[i][j];
          plane_[static_cast<std::size_t>(channel)][static_cast<std::size_t>(unknown)] = det(changed) / whole;
        }
    }
  }

  std::vector<Rgb> pixels_, smooth_;
  std::array<std::array<double, 3>, 3> plane_{};
};

/// The 4-connected pieces of a mask, each a list of pixel indices.
inline std::vector<std::vector<int>> connected_pieces(std::vector<char> mask, int height, int width) {
  std::vector<std::vector<int>> pieces;
  for (int first = 0; first < height * width; ++first) {
    if (!mask[static_cast<std::size_t>(first)]) continue;
    std::vector<int> piece = {first};
    mask[static_cast<std::size_t>(first)] = 0;
    for (std::size_t next = 0; next < piece.size(); ++next) {
      const int p = piece[next], row = p / width, column = p % width;
      const auto visit = [&](bool within, int q) {
        if (within && std::exchange(mask[static_cast<std::size_t>(q)], char{0})) piece.push_back(q);
      };
      visit(column > 0, p - 1);
      visit(column + 1 < width, p + 1);
      visit(row > 0, p - width);
      visit(row + 1 < height, p + width);
    }
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

/// Share of the pixels whose four neighbors are all in the list too: small for rims, large for compact areas.
inline double inner_share(const std::vector<int>& pixels, int height, int width) {
  std::vector<char> mask(static_cast<std::size_t>(height) * static_cast<std::size_t>(width));
  for (const int p : pixels) mask[static_cast<std::size_t>(p)] = 1;
  int inner = 0;
  for (const int p : pixels) {
    const int row = p / width, column = p % width;
    if (row == 0 || column == 0 || row == height - 1 || column == width - 1) continue;
    bool all = true;
    for (const int q : {p - 1, p + 1, p - width, p + width}) all = all && mask[static_cast<std::size_t>(q)];
    inner += all;
  }
  return pixels.empty() ? 0.0 : static_cast<double>(inner) / static_cast<double>(pixels.size());
}

}  // namespace reward_tuner::shapes::detail
