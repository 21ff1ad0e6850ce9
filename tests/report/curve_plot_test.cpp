// Ticks, running means and the well-formedness of plots.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/report/curve_plot.hpp>

#include <tests/reference/test_folder.hpp>

using namespace reward_tuner;

namespace {
namespace curve_plot_test {

/// Whether every tag is closed in order, attributes are quoted and no bare '&' or '<' is in the text: all XML that
/// curve_svg may write.
bool well_formed(const std::string& xml) {
  std::vector<std::string> open;
  for (std::size_t at = 0; at < xml.size();) {
    if (xml[at] == '&') {
      const std::size_t end = xml.find(';', at);
      if (end == std::string::npos || end - at > 5) return false;
    }
    if (xml[at] != '<') {
      if (xml[at] == '>') return false;
      ++at;
      continue;
    }
    const std::size_t end = xml.find('>', at);
    if (end == std::string::npos) return false;
    const std::string tag = xml.substr(at + 1, end - at - 1);
    if (io_test::count(tag, "\"") % 2 != 0 || tag.find('<') != std::string::npos) return false;
    const std::string name = tag.substr(0, tag.find(' '));
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return false;
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(name);
    }
    at = end + 1;
  }
  return open.empty();
}

}  // namespace curve_plot_test
}  // namespace

TEST_CASE("curve_plot: ticks are round numbers inside the range") {
  CHECK(nice_ticks(0, 100, 5) == std::vector<double>{0, 20, 40, 60, 80, 100});
  CHECK(nice_ticks(-0.9, 0.9, 4).size() == 3);
  CHECK(nice_ticks(-0.9, 0.9, 4)[1] == 0);
  CHECK(!std::signbit(nice_ticks(-0.9, 0.9, 4)[1]));
  for (const double scale : {1e-12, 3e-5, 1.0, 7e8}) {
    const auto ticks = nice_ticks(0.13 * scale, 1.9 * scale, 6);
    CHECK(ticks.size() >= 3);
    CHECK(ticks.size() <= 10);
    CHECK(ticks.front() >= 0.13 * scale);
    CHECK(ticks.back() <= 1.9 * scale * (1 + 1e-9));
  }
  CHECK_THROWS_AS(nice_ticks(1, 1), Error);
}

TEST_CASE("curve_plot: the running mean is centered, shrinks at the ends and leaves gaps") {
  CHECK(running_mean({1, 2, 6, 3}, 3) == std::vector<double>{1.5, 3, 11.0 / 3, 4.5});
  CHECK(running_mean({1, 2, 6}, 1) == std::vector<double>{1, 2, 6});
  const auto gap = running_mean({1, std::nan(""), 5}, 3);
  CHECK(gap[0] == 1);
  CHECK(std::isnan(gap[1]));
  CHECK(gap[2] == 5);
}

TEST_CASE("curve_plot: the image is well-formed and holds every series, label and tick") {
  CurvePlot plot{.title = "a <b> & \"c\"\x01", .x_label = "update", .y_label = "reward"};
  plot.series = {{.name = "raw & one", .y = {0, 1, 4, 9}},
                 {.name = "two", .x = {0, 1.5, 3}, .y = {9, 5, 1}, .color = "#123456", .smoothing = 3}};
  const std::string svg = curve_svg(plot);
  CHECK(curve_plot_test::well_formed(svg));
  CHECK(!curve_plot_test::well_formed(svg + "<g>"));
  CHECK(svg.find("a &lt;b&gt; &amp; &quot;c&quot; </text>") != std::string::npos);
  CHECK(svg.find(">raw &amp; one</text>") != std::string::npos);
  CHECK(svg.find(">two</text>") != std::string::npos);
  CHECK(svg.find(">update</text>") != std::string::npos);
  CHECK(svg.find(">reward</text>") != std::string::npos);
  CHECK(io_test::count(svg, "<path ") == 3);  // one line, and a raw and a smooth one
  CHECK(io_test::count(svg, "stroke=\"#123456\"") == 2);
  CHECK(io_test::count(svg, "stroke-opacity") == 1);
  CHECK(svg.find("nan") == std::string::npos);
  CHECK(svg.find("inf") == std::string::npos);
}

TEST_CASE("curve_plot: gaps, lone points, constant lines and single values can be drawn") {
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  CurvePlot plot;
  plot.series = {{.y = {1, 2, nan, 3, inf, 4, 5}}};
  const std::string gaps = curve_svg(plot);
  CHECK(io_test::count(gaps, "M") == 3);
  CHECK(gaps.find("nan") == std::string::npos);
  for (const double value : {0.0, -3.0, 1e9, 1e-9}) {
    plot.series = {{.y = {value}}};
    CHECK(curve_plot_test::well_formed(curve_svg(plot)));
    plot.series = {{.y = {value, value, value}}};
    CHECK(curve_svg(plot).find("nan") == std::string::npos);
  }
}

TEST_CASE("curve_plot: panels stand beside each other, two in a row, each whole; one alone is its plot") {
  const auto plot = [](const std::string& title, int width, int height) {
    return CurvePlot{.title = title, .series = {{.y = {1, 2}}}, .width = width, .height = height};
  };
  CHECK(panels_svg({plot("one", 300, 200)}) == curve_svg(plot("one", 300, 200)));
  const std::string three = panels_svg({plot("one", 300, 200), plot("two", 400, 250), plot("three", 200, 150)});
  CHECK(curve_plot_test::well_formed(three));
  CHECK(three.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"700\" height=\"400\""));
  CHECK(io_test::count(three, "<svg ") == 4);
  CHECK(three.find("<svg x=\"0\" y=\"0\" ") < three.find(">one<"));
  CHECK(three.find("<svg x=\"300\" y=\"0\" ") < three.find(">two<"));
  CHECK(three.find("<svg x=\"0\" y=\"250\" ") < three.find(">three<"));
  CHECK(three.find(">three<") != std::string::npos);
  CHECK_THROWS_WITH_AS(panels_svg({}), "[panels_svg] expected at least one plot, got none", Error);
  CHECK_THROWS_WITH_AS(panels_svg({plot("one", 300, 200), {}}), doctest::Contains("at least one finite point"), Error);
}

TEST_CASE("curve_plot: errors are named") {
  const io_test::Folder folder;
  CurvePlot plot;
  CHECK_THROWS_AS(curve_svg(plot), Error);
  plot.series = {{.y = {std::nan("")}}};
  CHECK_THROWS_WITH_AS(curve_svg(plot), doctest::Contains("at least one finite point"), Error);
  plot.series = {{.name = "s", .x = {1}, .y = {1, 2}}};
  CHECK_THROWS_WITH_AS(curve_svg(plot), doctest::Contains("as many x as y in series 's', got 1 and 2"), Error);
  plot.series = {{.y = {1, 2}, .color = "red\"/>"}};
  CHECK_THROWS_AS(curve_svg(plot), Error);
  plot.series = {{.y = {1, 2}}};
  CHECK_THROWS_AS(write_curve_svg(folder / "missing" / "a.svg", plot), Error);
  write_curve_svg(folder / "a.svg", plot);
  CHECK(io_test::read_text(folder / "a.svg") == curve_svg(plot));
  if (folder.make_read_only()) CHECK_THROWS_AS(write_curve_svg(folder / "b.svg", plot), Error);
}
