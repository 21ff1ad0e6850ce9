// What a curve of held-out values says: the area under it, and how soon it is at a level.
#pragma once
#include <algorithm>
#include <cstddef>
#include <limits>
#include <optional>
#include <vector>

namespace rt_reproduce {

/// A held-out metric over the reward queries before it, at an evaluation of a run.
struct HeldOutPoint {
  double queries = 0, value = 0;
};

/// The mean value over queries, linear between the points; NaN of less than two.
inline double mean_over_queries(const std::vector<HeldOutPoint>& points) {
  double area = 0;
  for (std::size_t i = 1; i < points.size(); ++i)
    area += 0.5 * (points[i].value + points[i - 1].value) * (points[i].queries - points[i - 1].queries);
  const double span = points.size() < 2 ? 0 : points.back().queries - points.front().queries;
  return span > 0 ? area / span : std::numeric_limits<double>::quiet_NaN();
}

/// The values that never fall and lie nearest to the given ones in squares (pool adjacent violators): noise of single
/// evaluations does not decide when a level is reached.
inline std::vector<HeldOutPoint> never_falling(std::vector<HeldOutPoint> points) {
  struct Block {
    double mean;
    std::size_t size;
  };
  std::vector<Block> blocks;
  for (const HeldOutPoint& point : points) {
    blocks.push_back({point.value, 1});
    while (blocks.size() > 1 && blocks[blocks.size() - 2].mean > blocks.back().mean) {
      const Block last = blocks.back();
      blocks.pop_back();
      Block& into = blocks.back();
      const auto a = static_cast<double>(into.size), b = static_cast<double>(last.size);
      into.mean = (a * into.mean + b * last.mean) / (a + b), into.size += last.size;
    }
  }
  std::size_t i = 0;
  for (const Block& block : blocks)
    for (std::size_t n = 0; n < block.size; ++n) points[i++].value = block.mean;
  return points;
}

/// Queries after which a curve that never falls is at `level`, linear between the points; nothing if it never is.
inline std::optional<double> queries_to(const std::vector<HeldOutPoint>& points, double level) {
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (points[i].value < level) continue;
    if (i == 0) return points[0].queries;
    const double rise = points[i].value - points[i - 1].value;
    return points[i - 1].queries + (level - points[i - 1].value) / rise * (points[i].queries - points[i - 1].queries);
  }
  return std::nullopt;
}

}  // namespace rt_reproduce
