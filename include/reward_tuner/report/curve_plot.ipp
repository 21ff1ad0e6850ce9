// Definitions of curve_plot.hpp.
#pragma once
#include <reward_tuner/report/curve_plot.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/number_text.hpp>
#include <reward_tuner/files/atomic_file.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE std::vector<double> nice_ticks(double low, double high, int wanted) {
  REWARD_TUNER_CHECK(low < high && std::isfinite(low) && std::isfinite(high) && wanted >= 1,
                     "[nice_ticks] expected finite low < high and expected >= 1, got ", low, ", ", high, " and ",
                     wanted);
  const double rough = (high - low) / wanted;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double share = rough / power;
  const double step = (share < 1.5 ? 1 : share < 3.5 ? 2 : share < 7.5 ? 5 : 10) * power;
  std::vector<double> ticks;
  for (double number = std::ceil(low / step - 1e-9); number * step <= high + 1e-9 * step; ++number) {
    ticks.push_back(number == 0 ? 0 : number * step);  // no minus zero
  }
  return ticks;
}

REWARD_TUNER_INLINE std::vector<double> running_mean(const std::vector<double>& values, int window) {
  REWARD_TUNER_CHECK(window >= 1, "[running_mean] expected a window of at least 1, got ", window);
  const auto count = static_cast<std::int64_t>(values.size());
  const std::int64_t before = window / 2, after = window - 1 - before;
  std::vector<double> means(values.size(), std::nan(""));
  for (std::int64_t i = 0; i < count; ++i) {
    if (!std::isfinite(values[static_cast<std::size_t>(i)])) continue;
    double sum = 0, used = 0;
    for (std::int64_t j = std::max<std::int64_t>(0, i - before); j <= std::min(count - 1, i + after); ++j) {
      const double value = values[static_cast<std::size_t>(j)];
      if (std::isfinite(value)) sum += value, used += 1;
    }
    means[static_cast<std::size_t>(i)] = sum / used;
  }
  return means;
}

namespace detail {

inline std::string xml_escaped(std::string_view text) {
  std::string escaped;
  for (const char character : text) {
    if (character == '&') escaped += "&amp;";
    else if (character == '<') escaped += "&lt;";
    else if (character == '>') escaped += "&gt;";
    else if (character == '"') escaped += "&quot;";
    else if (static_cast<unsigned char>(character) < 32) escaped += ' ';  // XML 1.0 has no control characters
    else escaped += character;
  }
  return escaped;
}

inline std::string pixels_text(double value) { return number_text("%.2f", value); }

struct CurveRange {
  double low = INFINITY, high = -INFINITY;
  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  /// Never of zero width; with `margin` a share of the width is added at both ends.
  CurveRange widened(double margin) const {
    const double width = high - low;
    const double pad =
        width > 1e-12 * std::max(std::abs(low), std::abs(high)) ? margin * width : std::max(0.5 * std::abs(low), 0.5);
    return {low - pad, high + pad};
  }
};

}  // namespace detail

REWARD_TUNER_INLINE std::string curve_svg(const CurvePlot& plot) {
  using detail::pixels_text, detail::xml_escaped;
  // Okabe and Ito
  constexpr std::array<const char*, 7> kPalette = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                   "#e69f00", "#56b4e9", "#5d5d5d"};
  REWARD_TUNER_CHECK(plot.width >= 200 && plot.height >= 150, "[curve_svg] expected at least 200 x 150 pixels, got ",
                     plot.width, " x ", plot.height);
  detail::CurveRange x_data, y_data;
  bool any_name = false;
  for (const CurveSeries& series : plot.series) {
    REWARD_TUNER_CHECK(series.x.empty() || series.x.size() == series.y.size(),
                       "[curve_svg] expected as many x as y in series '", series.name, "', got ", series.x.size(),
                       " and ", series.y.size());
    REWARD_TUNER_CHECK(
        series.color.empty() || (series.color.size() == 7 && series.color[0] == '#' &&
                                 series.color.find_first_not_of("0123456789abcdefABCDEF", 1) == std::string::npos),
        "[curve_svg] expected a color \"#rrggbb\", got '", series.color, "'");
    REWARD_TUNER_CHECK(series.smoothing >= 1, "[curve_svg] expected smoothing >= 1 in series '", series.name, "', got ",
                       series.smoothing);
    any_name = any_name || !series.name.empty();
    for (std::size_t i = 0; i < series.y.size(); ++i) {
      const double x = series.x.empty() ? static_cast<double>(i) : series.x[i];
      if (std::isfinite(x) && std::isfinite(series.y[i])) x_data.include(x), y_data.include(series.y[i]);
    }
  }
  REWARD_TUNER_CHECK(x_data.low <= x_data.high, "[curve_svg] expected at least one finite point, got none in ",
                     plot.series.size(), " series");
  const detail::CurveRange x_range = x_data.widened(0), y_range = y_data.widened(0.06);
  const std::vector<double> x_ticks = nice_ticks(x_range.low, x_range.high, std::max(2, plot.width / 100));
  const std::vector<double> y_ticks = nice_ticks(y_range.low, y_range.high, std::max(2, plot.height / 65));

  std::size_t longest = 1;
  for (const double tick : y_ticks) longest = std::max(longest, number_text("%.10g", tick).size());
  const double left = (plot.y_label.empty() ? 20 : 42) + 7.0 * static_cast<double>(longest), right = plot.width - 24.0;
  const double top = 16 + (plot.title.empty() ? 0 : 26) + (any_name ? 24 : 0),
               bottom = plot.height - (plot.x_label.empty() ? 34.0 : 56.0);
  const auto x_pixel = [&](double x) {
    return left + (x - x_range.low) / (x_range.high - x_range.low) * (right - left);
  };
  const auto y_pixel = [&](double y) {
    return bottom - (y - y_range.low) / (y_range.high - y_range.low) * (bottom - top);
  };

  std::string svg =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + std::to_string(plot.width) + "\" height=\"" +
      std::to_string(plot.height) + "\" viewBox=\"0 0 " + std::to_string(plot.width) + " " +
      std::to_string(plot.height) +
      "\" font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#333333\">\n" +
      "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
  const auto line = [&](double x1, double y1, double x2, double y2, const char* color) {
    svg += "<line x1=\"" + pixels_text(x1) + "\" y1=\"" + pixels_text(y1) + "\" x2=\"" + pixels_text(x2) + "\" y2=\"" +
           pixels_text(y2) + "\" stroke=\"" + color + "\"/>\n";
  };
  const auto text = [&](double x, double y, std::string_view content, const std::string& attributes) {
    svg += "<text x=\"" + pixels_text(x) + "\" y=\"" + pixels_text(y) + "\" " + attributes + ">" +
           xml_escaped(content) + "</text>\n";
  };
  for (const double tick : y_ticks) {
    line(left, y_pixel(tick), right, y_pixel(tick), "#e6e6e6");
    text(left - 8, y_pixel(tick) + 4, number_text("%.10g", tick), "text-anchor=\"end\"");
  }
  for (const double tick : x_ticks) {
    line(x_pixel(tick), bottom, x_pixel(tick), bottom + 5, "#888888");
    text(x_pixel(tick), bottom + 19, number_text("%.10g", tick), "text-anchor=\"middle\"");
  }
  line(left, bottom, right, bottom, "#888888");
  line(left, top, left, bottom, "#888888");
  if (!plot.title.empty()) text(left, 27, plot.title, "font-size=\"16\" font-weight=\"bold\"");
  if (!plot.x_label.empty()) text((left + right) / 2, plot.height - 14.0, plot.x_label, "text-anchor=\"middle\"");
  if (!plot.y_label.empty()) {
    const std::string middle = pixels_text((top + bottom) / 2);
    text(20, (top + bottom) / 2, plot.y_label, "text-anchor=\"middle\" transform=\"rotate(-90 20 " + middle + ")\"");
  }

  double legend = left;
  for (std::size_t number = 0; number < plot.series.size(); ++number) {
    const CurveSeries& series = plot.series[number];
    const std::string color = series.color.empty() ? kPalette[number % kPalette.size()] : series.color;
    const auto draw = [&](const std::vector<double>& values, const char* attributes) {
      std::string path;
      bool pen_down = false;
      for (std::size_t i = 0; i < values.size(); ++i) {
        const double x = series.x.empty() ? static_cast<double>(i) : series.x[i];
        const bool finite = std::isfinite(x) && std::isfinite(values[i]);
        if (finite)
          path += (pen_down       ? " L"
                   : path.empty() ? "M"
                                  : " M") +
                  pixels_text(x_pixel(x)) + " " + pixels_text(y_pixel(values[i]));
        if (finite && !pen_down) path += " l0 0";  // a lone point shows as a dot through its round cap
        pen_down = finite;
      }
      if (path.empty()) return;
      svg += "<path d=\"" + path + "\" fill=\"none\" stroke=\"" + color +
             "\" stroke-linejoin=\"round\" stroke-linecap=\"round\" " + attributes + "/>\n";
    };
    svg += "<g>\n";
    if (!series.name.empty()) svg += "<title>" + xml_escaped(series.name) + "</title>\n";
    if (series.smoothing > 1) draw(series.y, "stroke-width=\"1.2\" stroke-opacity=\"0.3\"");
    draw(running_mean(series.y, series.smoothing), "stroke-width=\"2.2\"");
    if (!series.name.empty()) {
      svg += "<rect x=\"" + pixels_text(legend) + "\" y=\"" + pixels_text(top - 20) +
             "\" width=\"18\" height=\"4\" rx=\"2\" fill=\"" + color + "\"/>\n";
      text(legend + 24, top - 14, series.name, "");
      legend += 24 + 7.2 * static_cast<double>(series.name.size()) + 22;
    }
    svg += "</g>\n";
  }
  return svg + "</svg>\n";
}

REWARD_TUNER_INLINE std::string panels_svg(const std::vector<CurvePlot>& plots) {
  REWARD_TUNER_CHECK(!plots.empty(), "[panels_svg] expected at least one plot, got none");
  if (plots.size() == 1) return curve_svg(plots.front());
  constexpr std::size_t kInARow = 2;
  constexpr std::string_view kTag = "<svg ";
  std::string panels;
  int width = 0, height = 0;  // of all rows so far
  for (std::size_t begin = 0; begin < plots.size(); begin += kInARow) {
    int left = 0, tallest = 0;
    for (std::size_t i = begin; i < std::min(begin + kInARow, plots.size()); ++i) {
      const std::string place = "x=\"" + std::to_string(left) + "\" y=\"" + std::to_string(height) + "\" ";
      panels += std::string(kTag) + place + curve_svg(plots[i]).substr(kTag.size());
      left += plots[i].width;
      tallest = std::max(tallest, plots[i].height);
    }
    width = std::max(width, left);
    height += tallest;
  }
  const std::string sides = "width=\"" + std::to_string(width) + "\" height=\"" + std::to_string(height) + "\"";
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" " + sides + " viewBox=\"0 0 " + std::to_string(width) + " " +
         std::to_string(height) + "\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n" + panels +
         "</svg>\n";
}

REWARD_TUNER_INLINE void write_panels_svg(const std::filesystem::path& path, const std::vector<CurvePlot>& plots) {
  write_file_atomically(path, panels_svg(plots));
}

REWARD_TUNER_INLINE void write_curve_svg(const std::filesystem::path& path, const CurvePlot& plot) {
  write_file_atomically(path, curve_svg(plot));
}

}  // namespace reward_tuner
