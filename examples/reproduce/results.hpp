// Numbers of finished cells.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "learning_curve.hpp"
#include "seed_statistics.hpp"
#include "study.hpp"

namespace rt_reproduce {

/// What a finished cell came to.
struct CellResult {
  std::int64_t updates = 0, forwards = 0, backwards = 0;
  std::int64_t queries = 0;  ///< images scored in training
  double cpu_seconds = 0;
  std::map<std::string, double> before, after;                      ///< held-out metrics
  std::map<std::string, double> sentinels_before, sentinels_after;  ///< of the held-out images
  double metric(const std::string& name) const { return after.at(name); }
};
/// Nothing if the cell is not done.
std::optional<CellResult> read_cell(const Study& study, const std::string& name);

/// What measure.hpp measured, nothing if the cell is not done: "clip.clip_score", ...
std::optional<std::map<std::string, double>> read_measured(const Study& study, const std::string& name);

/// A held-out metric at every evaluation of the run: of the trained reward "reward".
std::vector<HeldOutPoint> read_held_out(const Study& study, const std::string& name, const std::string& metric);

/// A component of every update's mean over its batch, of no name the reward itself, from metrics.jsonl; what is not
/// finite is NaN.
std::vector<double> read_training(const Study& study, const std::string& name, const std::string& component);

/// K and the norms of one batch each.
struct NormRow {
  int trained = 0;
  std::vector<double> passing, stopped;
};
std::vector<NormRow> read_norms(const Study& study, int steps);

double median(std::vector<double> values);

/// `value` with `digits` significant digits, never in exponent form below a million.
std::string number(double value, int digits = 3);
/// "0.123 ± 0.004"
std::string mean_and_deviation(const std::vector<double>& values, int digits = 3);

}  // namespace rt_reproduce
