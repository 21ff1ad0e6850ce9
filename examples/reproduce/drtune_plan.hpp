// The plan of the drtune study: Table 1 and Fig. 6 to 9.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "study.hpp"

namespace rt_reproduce {

Study make_drtune_study(bool quick);
std::vector<Cell> drtune_cells(const Study& study);

/// A row of Table 1.
struct TableMethod {
  std::string label;  ///< in names of cells and in tables
  std::string title;
  Method method;
  int trained_steps, early_stop;
};
const std::vector<TableMethod>& table_methods();

/// A reward of Table 1 with the paper's numbers.
struct TableReward {
  std::string name;  ///< symmetry
  std::string title;
  std::string metric;  ///< the held-out metric it is judged by
  bool lower_is_better;
  std::vector<std::pair<std::string, double>> paper;  ///< label of a method -> the paper's number
};
const std::vector<TableReward>& table_rewards();

/// K at which the gradient's norm is measured with T steps.
std::vector<int> norm_depths(const Study& study, int steps);
/// Total steps, and for each the K of Fig. 8 and the m of Fig. 9.
struct Sweep {
  int steps;
  std::vector<int> trained, early_stops;
};
std::vector<Sweep> sweeps(const Study& study);

/// Names of cells; several figures use a cell of Table 1 or of one another.
std::string table_cell(std::string_view reward, std::string_view label, std::uint64_t seed);
std::string convergence_cell(std::string_view label, std::uint64_t seed);
std::string norm_cell(int steps);
std::string sweep_cell(int steps, int trained, int early_stop, std::uint64_t seed);

/// Factor of a reward, so that all are of one size beside the regularizer.
double reward_scale(std::string_view reward);

}  // namespace rt_reproduce
