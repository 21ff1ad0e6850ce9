// Numbers of finished cells, and the rules by which orderings are judged.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

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

/// A held-out metric over the reward queries before it, at every evaluation of the run.
struct HeldOutPoint {
  double queries = 0, value = 0;
};
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

/// How many seeds say yes, of those that can tell. Holds if at least two thirds do.
struct Votes {
  int yes = 0, seeds = 0;
  bool holds() const { return seeds > 0 && 3 * yes >= 2 * seeds; }
  void add(bool vote) {
    ++seeds;
    if (vote) ++yes;
  }
  std::string text() const {
    return std::to_string(yes) + " of " + std::to_string(seeds) + (seeds == 1 ? " seed" : " seeds");
  }
};

/// `value` with `digits` significant digits, never in exponent form below a million.
std::string number(double value, int digits = 3);
/// "0.123 ± 0.004"
std::string mean_and_deviation(const std::vector<double>& values, int digits = 3);

}  // namespace rt_reproduce
