// Finds the colored shapes of the procedural images by classical image analysis: no network, no gradient, about a
// millisecond an image.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/shapes/image_background.hpp>
#include <reward_tuner/shapes/shape_geometry.hpp>
#include <reward_tuner/shapes/shape_vocabulary.hpp>

namespace reward_tuner::shapes {

/// One object found in an image. Scores are in [0,1]; over all names they add up to less than 1, the rest is "none of
/// these".
struct DetectedObject {
  int shape = 0;          ///< likeliest index into kShapeNames
  int color = 0;          ///< likeliest index into kObjectColors
  double x = 0;           ///< center of mass, pixels from the left
  double y = 0;           ///< center of mass, pixels from the top
  double area = 0;        ///< pixels, partly covered ones by their share
  double confidence = 0;  ///< shape score times color score of the likeliest
  std::array<double, kShapeNames.size()> shape_scores{};
  std::array<double, kObjectColors.size()> color_scores{};
};

namespace detail {

// cells of a template, over [-kTemplateReach, kTemplateReach] in units of the shape's radius
inline constexpr int kTemplateSide = 40;
inline constexpr double kTemplateReach = 1.35;
// the images use up to +-0.2
inline constexpr std::array<double, 7> kTemplateAngles = {-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3};

using TemplateCells = std::array<float, static_cast<std::size_t>(kTemplateSide) * kTemplateSide>;

/// A shape of radius 1 with its center of mass at the origin.
struct ShapeTemplates {
  double area = 0;                                          // of the shape of radius 1
  std::array<TemplateCells, kTemplateAngles.size()> cells;  // share of each cell that is covered
};

inline ShapeTemplates make_shape_templates(int shape) {
  ShapeTemplates result;
  constexpr int kFine = 400;
  double count = 0, middle = 0;  // every shape is its own mirror image, so its center of mass lies on x = 0
  for (int row = 0; row < kFine; ++row)
    for (int column = 0; column < kFine; ++column) {
      const double x = ((column + 0.5) / kFine * 2 - 1) * kShapeReach, y = ((row + 0.5) / kFine * 2 - 1) * kShapeReach;
      if (!inside_shape(shape, x, y)) continue;
      count += 1;
      middle += y;
    }
  middle /= count;
  result.area = count * (2 * kShapeReach / kFine) * (2 * kShapeReach / kFine);
  constexpr int kSamples = 4;
  for (std::size_t a = 0; a < kTemplateAngles.size(); ++a) {
    const double cosine = std::cos(kTemplateAngles[a]), sine = std::sin(kTemplateAngles[a]);
    for (int cell = 0; cell < kTemplateSide * kTemplateSide; ++cell) {
      int hits = 0;
      for (int sample = 0; sample < kSamples * kSamples; ++sample) {
        const double x =
            ((cell % kTemplateSide + (sample % kSamples + 0.5) / kSamples) / kTemplateSide * 2 - 1) * kTemplateReach;
        const double y =
            ((cell / kTemplateSide + (sample / kSamples + 0.5) / kSamples) / kTemplateSide * 2 - 1) * kTemplateReach;
        hits += inside_shape(shape, cosine * x + sine * y, cosine * y - sine * x + middle);
      }
      result.cells[a][static_cast<std::size_t>(cell)] = static_cast<float>(hits) / (kSamples * kSamples);
    }
  }
  return result;
}

inline const std::vector<ShapeTemplates>& shape_templates() {
  static const std::vector<ShapeTemplates> templates = [] {
    std::vector<ShapeTemplates> made;
    for (int shape = 0; shape < static_cast<int>(kShapeNames.size()); ++shape)
      made.push_back(make_shape_templates(shape));
    return made;
  }();
  return templates;
}

/// Share of each pixel that one object covers.
struct Coverage {
  int height, width;
  std::vector<float> share;  // [height*width]
  double area = 0, x = 0, y = 0;

  void measure() {
    for (int row = 0; row < height; ++row)
      for (int column = 0; column < width; ++column) {
        const double s = share[static_cast<std::size_t>(row * width + column)];
        area += s, x += s * (column + 0.5), y += s * (row + 0.5);
      }
    if (area > 0) x /= area, y /= area;
  }

  float at(double px, double py) const {  // bilinear, pixel centers at halves, nothing outside
    const double gx = px - 0.5, gy = py - 0.5;
    const int column = static_cast<int>(std::floor(gx)), row = static_cast<int>(std::floor(gy));
    const auto fx = static_cast<float>(gx - column), fy = static_cast<float>(gy - row);
    const auto pixel = [&](int r, int c) {
      return r < 0 || c < 0 || r >= height || c >= width ? 0.0f : share[static_cast<std::size_t>(r * width + c)];
    };
    const auto between = [&](int r) { return (1 - fx) * pixel(r, column) + fx * pixel(r, column + 1); };
    return (1 - fy) * between(row) + fy * between(row + 1);
  }
};

/// Best intersection over union of the covered pixels with one shape over its angles and a few radii about the one that
/// its area implies.
inline double shape_overlap(const Coverage& object, const ShapeTemplates& shape) {
  double best = 0;
  TemplateCells seen;
  for (const double stretch : {0.95, 1.0, 1.05}) {
    const double radius = stretch * std::sqrt(object.area / shape.area),
                 step = 2 * kTemplateReach / kTemplateSide * radius;
    double total = 0;
    for (int cell = 0; cell < kTemplateSide * kTemplateSide; ++cell) {
      const double x = object.x - kTemplateReach * radius + (cell % kTemplateSide + 0.5) * step;
      const double y = object.y - kTemplateReach * radius + (cell / kTemplateSide + 0.5) * step;
      total += seen[static_cast<std::size_t>(cell)] = object.at(x, y);
    }
    // what lies beyond the template belongs to the union too
    const double outside = std::max(0.0, object.area / (step * step) - total);
    for (const TemplateCells& cells : shape.cells) {
      float both = 0, either = 0;
      for (std::size_t i = 0; i < seen.size(); ++i) {
        both += std::min(seen[i], cells[i]);
        either += std::max(seen[i], cells[i]);
      }
      best = std::max(best, both / (either + outside));
    }
  }
  return best;
}

/// Fills `scores` with exp(evidence) shares, where `unknown` is the evidence of "none of these", and returns the
/// likeliest index.
template <std::size_t N>
int share_out(const std::array<double, N>& evidence, double unknown, std::array<double, N>& scores) {
  double total = std::exp(unknown);
  for (std::size_t i = 0; i < N; ++i) total += scores[i] = std::exp(evidence[i]);
  for (double& score : scores) score /= total;
  return static_cast<int>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

inline double distance(const Rgb& a, const Rgb& b) {
  return std::sqrt((a.red - b.red) * (a.red - b.red) + (a.green - b.green) * (a.green - b.green) +
                   (a.blue - b.blue) * (a.blue - b.blue));
}

inline int nearest_color(const Rgb& pixel) {
  const auto closer = [&](const NamedColor& a, const NamedColor& b) {
    return distance(pixel, a.rgb) < distance(pixel, b.rgb);
  };
  return static_cast<int>(std::min_element(kObjectColors.begin(), kObjectColors.end(), closer) - kObjectColors.begin());
}

/// Measures the object made of `pixels`; `owner` says to which object (index) each pixel of the image belongs, -1 to
/// none.
inline DetectedObject describe_object(const ImageBackground& image, const std::vector<int>& pixels,
                                      const std::vector<int>& owner, int self) {
  const int height = image.height, width = image.width;
  // The paint is the median over pixels whose neighbors all belong to the object, so that blurred edges do not grey
  // it.
  std::vector<int> core;
  for (const int p : pixels) {
    const int row = p / width, column = p % width;
    if (row == 0 || column == 0 || row == height - 1 || column == width - 1) continue;
    bool inner = true;
    for (const int q : {p - 1, p + 1, p - width, p + width})
      inner = inner && owner[static_cast<std::size_t>(q)] == self;
    if (inner) core.push_back(p);
  }
  const Rgb paint = image.median_color(core.size() >= 8 ? core : pixels);

  // Share of each pixel: its place on the line from background to paint. Two pixels around the object count, for its
  // blurred rim.
  Coverage object{height, width, std::vector<float>(owner.size(), 0.0f)};
  for (const int p : pixels)
    for (int row = std::max(0, p / width - 2); row <= std::min(height - 1, p / width + 2); ++row)
      for (int column = std::max(0, p % width - 2); column <= std::min(width - 1, p % width + 2); ++column) {
        const int q = row * width + column;
        const auto at = static_cast<std::size_t>(q);
        if (object.share[at] != 0 || (owner[at] != self && owner[at] >= 0)) continue;
        const Rgb here = image.pixel(q), back = image.background(q);
        const float dr = paint.red - back.red, dg = paint.green - back.green, db = paint.blue - back.blue;
        const float along = (here.red - back.red) * dr + (here.green - back.green) * dg + (here.blue - back.blue) * db;
        object.share[at] = std::clamp(along / std::max(1e-6f, dr * dr + dg * dg + db * db), 0.0f, 1.0f);
      }
  object.measure();

  DetectedObject found;
  found.x = object.x, found.y = object.y, found.area = object.area;
  std::array<double, kObjectColors.size()> color_evidence{};
  for (std::size_t i = 0; i < color_evidence.size(); ++i)
    color_evidence[i] = -std::pow(distance(paint, kObjectColors[i].rgb) / 0.18, 2);
  std::array<double, kShapeNames.size()> shape_evidence{};
  for (std::size_t i = 0; i < shape_evidence.size(); ++i)
    shape_evidence[i] = shape_overlap(object, shape_templates()[i]) / 0.04;
  // 0.4: the palette's least distance is 0.35
  found.color = share_out(color_evidence, -std::pow(0.4 / 0.18, 2), found.color_scores);
  found.shape = share_out(shape_evidence, 0.65 / 0.04, found.shape_scores);  // 0.65: what a shapeless blob reaches
  found.confidence = found.color_scores[static_cast<std::size_t>(found.color)] *
                     found.shape_scores[static_cast<std::size_t>(found.shape)];
  return found;
}

}  // namespace detail

/// All objects of one image, the largest first. `rgb` is a planar float buffer [3,height,width] in [0,1] (values
/// outside are clamped). Steps: a plane per channel is fitted robustly to the border (backgrounds may be shaded);
/// pixels away from it form connected objects; one that holds two palette colors is cut by color; color is the
/// nearest palette entry to the median of the inner pixels; shape is the best intersection over union with the
/// renderer's own outlines over angle and radius. Pieces under 0.5% of the image are dropped. A pure function.
inline std::vector<DetectedObject> detect_shapes(const float* rgb, int height, int width) {
  REWARD_TUNER_CHECK(rgb != nullptr && height >= 16 && width >= 16,
                     "[ShapeDetector] expected an image of at least 16 x 16, got ", height, " x ", width);
  const detail::ImageBackground image(rgb, height, width);
  const auto least = static_cast<std::size_t>(std::max(8, height * width / 200));
  std::vector<int> owner;
  std::vector<std::vector<int>> pieces = detail::connected_pieces(image.foreground(), height, width);
  std::vector<std::vector<int>> objects;
  for (std::vector<int>& piece : pieces) {
    if (piece.size() < least) continue;
    std::array<std::vector<int>, kObjectColors.size()> by_color;
    for (const int p : piece)
      by_color[static_cast<std::size_t>(detail::nearest_color(image.smooth_pixel(p)))].push_back(p);
    // A rim pixel is a mixture that may resemble a third color: only a color with a large compact share starts an
    // object of its own.
    std::vector<std::size_t> large;
    for (std::size_t c = 0; c < by_color.size(); ++c)
      if (by_color[c].size() * 4 >= piece.size() && detail::inner_share(by_color[c], height, width) >= 0.45)
        large.push_back(c);
    if (large.size() < 2) {
      objects.push_back(std::move(piece));
      continue;
    }
    std::vector<std::vector<int>> parts(large.size());
    for (const int p : piece) {
      const auto off = [&](std::size_t c) { return detail::distance(image.smooth_pixel(p), kObjectColors[c].rgb); };
      const auto nearest =
          std::min_element(large.begin(), large.end(), [&](auto a, auto b) { return off(a) < off(b); });
      parts[static_cast<std::size_t>(nearest - large.begin())].push_back(p);
    }
    for (auto& part : parts)
      if (part.size() >= least) objects.push_back(std::move(part));
  }
  owner.assign(static_cast<std::size_t>(height) * static_cast<std::size_t>(width), -1);
  for (std::size_t i = 0; i < objects.size(); ++i)
    for (const int p : objects[i]) owner[static_cast<std::size_t>(p)] = static_cast<int>(i);
  std::vector<DetectedObject> found;
  for (std::size_t i = 0; i < objects.size(); ++i)
    found.push_back(detail::describe_object(image, objects[i], owner, static_cast<int>(i)));
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.area > b.area; });
  return found;
}

}  // namespace reward_tuner::shapes
