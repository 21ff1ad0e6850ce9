// A page under construction: text, plots, and what all pages say about their cells.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <reward_tuner/report/curve_plot.hpp>

#include "results.hpp"

namespace rt_reproduce {

/// Counts and seconds.
std::string whole(double value);
/// As papers print scores.
std::string four_places(double value);
std::vector<double> seed_values(const SeedValues& seeds);
/// "0.81, 0.80, 0.83"
std::string each_seed(const SeedValues& seeds);

/// Words and numbers as one text, numbers as a stream writes them.
template <class... Parts>
std::string joined(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// A row of a page's table of settings: what, and the value in all cells.
struct SettingsRow {
  std::string what, value;
};

class Page {
 public:
  /// Images go into a folder of their own.
  Page(const Study& study, std::filesystem::path page, std::filesystem::path images);
  /// Writes the file, prose wrapped at 120 columns.
  void write() const;

  const Study& study() const { return study_; }
  std::ostringstream& text() { return text_; }
  const std::filesystem::path& images() const { return images_; }

  /// "script/reproduce b2 --quick": how the page came about.
  std::string command() const;
  /// Which cells are done and which are not.
  void completeness();
  /// The section on settings: model, optimizer and budget of the study around the page's own rows.
  void settings(const std::vector<SettingsRow>& rows);
  /// Shows a file of the images' folder.
  void image(const std::string& file, const std::string& alt);
  /// Writes and shows a plot, unless it has no line.
  void plot(const std::string& file, const reward_tuner::CurvePlot& curves);
  /// A number of each finished seed.
  SeedValues by_seed(const std::function<std::string(std::uint64_t)>& name,
                     const std::function<double(const CellResult&)>& value) const;

 private:
  const Study& study_;
  std::filesystem::path page_, images_;
  std::ostringstream text_;
};

}  // namespace rt_reproduce
