// Line plots as SVG: axes with round ticks, a legend, and a smoothed line over the faint raw one.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace reward_tuner {

/// One curve of a plot.
struct CurveSeries {
  std::string name = {};       ///< name in the legend; empty leaves it out
  std::vector<double> x = {};  ///< positions; empty counts 0, 1, 2, ...
  std::vector<double> y = {};  ///< values; one that is not finite leaves a gap
  std::string color = {};      ///< "#rrggbb"; empty takes the next of a palette that color-blind readers can tell apart
  int smoothing = 1;           ///< values in the centered running mean; above 1 the raw line is drawn faintly behind
};

/// A line plot: its texts, its curves and its size.
struct CurvePlot {
  std::string title = {};                ///< above the plot
  std::string x_label = {};              ///< under the x axis
  std::string y_label = {};              ///< along the y axis
  std::vector<CurveSeries> series = {};  ///< at least one with a finite value
  int width = 760;                       ///< pixels, at least 200
  int height = 440;                      ///< pixels, at least 150
};

/// Round numbers (1, 2 or 5 times a power of ten apart) inside [low, high], about `wanted` of them (between 2/3 and
/// 3/2). Needs low < high.
std::vector<double> nice_ticks(double low, double high, int wanted = 6);

/// The centered running mean over `window` values; at the ends over those there are; values that are not finite are
/// left out and stay gaps.
std::vector<double> running_mean(const std::vector<double>& values, int window);

/// The SVG text of a plot. Errors: no finite value, x and y of different length, a color that is not "#rrggbb", a
/// image too small.
std::string curve_svg(const CurvePlot& plot);

/// Several plots beside each other, two in a row: for curves whose values have nothing in common. One plot alone is
/// curve_svg of it. Errors: no plot, those of curve_svg.
std::string panels_svg(const std::vector<CurvePlot>& plots);

/// Writes the plot as an SVG file, atomically. Errors: those of curve_svg, a missing or read-only folder.
void write_curve_svg(const std::filesystem::path& path, const CurvePlot& plot);
/// The same of panels_svg.
void write_panels_svg(const std::filesystem::path& path, const std::vector<CurvePlot>& plots);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/report/curve_plot.ipp>
#endif
