// The outlines of the shapes in unit coordinates: shared by the renderer that draws them and the detector that looks
// for them.
#pragma once
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/shapes/shape_vocabulary.hpp>

namespace reward_tuner::shapes {

/// No point of a shape of radius 1 lies further than this from its center.
inline constexpr double kShapeReach = 1.25;

namespace detail {

/// Whether (x, y) lies in the polygon (even-odd rule).
template <std::size_t N>
constexpr bool inside_polygon(const std::array<std::array<double, 2>, N>& corners, double x, double y) {
  bool inside = false;
  for (std::size_t i = 0, j = N - 1; i < N; j = i++) {
    const auto &a = corners[i], &b = corners[j];
    if ((a[1] > y) != (b[1] > y) && x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) + a[0]) inside = !inside;
  }
  return inside;
}

inline std::array<std::array<double, 2>, 10> star_corners() {
  std::array<std::array<double, 2>, 10> corners{};
  for (std::size_t i = 0; i < corners.size(); ++i) {
    const double radius = i % 2 == 0 ? 1.22 : 0.48, angle = std::numbers::pi * static_cast<double>(i) / 5;
    corners[i] = {radius * std::sin(angle), -radius * std::cos(angle)};
  }
  return corners;
}

}  // namespace detail

/// Whether the point (x to the right, y down) lies in the shape of radius 1 around the origin; `shape` indexes
/// kShapeNames. All six shapes are mirror images of themselves about x = 0. The star's and the triangle's tips point
/// up.
inline bool inside_shape(int shape, double x, double y) {
  static const auto star = detail::star_corners();
  static constexpr std::array<std::array<double, 2>, 3> triangle = {{{0.0, -1.15}, {1.06, 0.80}, {-1.06, 0.80}}};
  const double ax = std::abs(x), ay = std::abs(y), squared = x * x + y * y;
  switch (shape) {
    case 0:
      return squared <= 1.0;
    case 1:
      return ax <= 0.88 && ay <= 0.88;
    case 2:
      return detail::inside_polygon(triangle, x, y);
    case 3:
      return detail::inside_polygon(star, x, y);
    case 4:
      return squared <= 1.0 && squared >= 0.52 * 0.52;
    case 5:
      return (ax <= 0.32 && ay <= 1.0) || (ay <= 0.32 && ax <= 1.0);
  }
  reward_tuner::detail::fail("[Shape] expected an index below ", kShapeNames.size(), ", got ", shape);
}

}  // namespace reward_tuner::shapes
