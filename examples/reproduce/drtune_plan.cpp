// The cells of the drtune study.
#include "drtune_plan.hpp"

#include <algorithm>
#include <cmath>

namespace rt_reproduce {

const std::vector<TableMethod>& table_methods() {
  static const std::vector<TableMethod> methods = {
      {"drtune", "DRTune", Method::kDrtune, 5, 8},      {"draft-1", "DRaFT-1", Method::kDraft, 1, 0},
      {"draft-lv", "DRaFT-LV", Method::kDraftLv, 1, 0}, {"draft-10", "DRaFT-10", Method::kDraft, 10, 0},
      {"refl-10", "ReFL-10", Method::kRefl, 1, 0},      {"alignprop", "AlignProp", Method::kAlignprop, 0, 0}};
  return methods;
}

const std::vector<TableReward>& table_rewards() {
  // Wu et al. 2024, Table 1. It has no DRaFT-1.
  static const std::vector<TableReward> rewards = {
      {"symmetry",
       "Symmetry",
       "symmetry_error",
       true,
       {{"drtune", 0.0551}, {"draft-lv", 0.7648}, {"draft-10", 0.7250}, {"refl-10", 0.7512}, {"alignprop", 0.7840}}},
      {"jpeg_error",
       "Compression error",
       "jpeg_error",
       true,
       {{"drtune", 0.0038}, {"draft-lv", 0.0088}, {"draft-10", 0.0073}, {"refl-10", 0.0057}, {"alignprop", 0.0097}}},
      {"clip_score",
       "CLIPScore",
       "clip_score",
       false,
       {{"drtune", 0.3856}, {"draft-lv", 0.3613}, {"draft-10", 0.3707}, {"refl-10", 0.3771}, {"alignprop", 0.3580}}}};
  return rewards;
}

double reward_scale(std::string_view reward) { return reward == "jpeg_error" ? 100.0 : 1.0; }

Study make_drtune_study(bool quick) {
  Study study;
  study.quick = quick;
  if (quick) study.cpu_seconds = 6, study.seeds = 1, study.held_out_seeds = 1, study.norm_batches = 2;
  return study;
}

std::vector<int> norm_depths(const Study& study, int steps) {
  if (study.quick) return steps == 20 ? std::vector<int>{1, 5, 10, 15, 20} : std::vector<int>{};
  return steps == 20 ? std::vector<int>{1, 2, 5, 10, 15, 20} : std::vector<int>{1, 2, 5, 10, 15, 20, 30, 40, 50};
}

std::vector<Sweep> sweeps(const Study& study) {
  if (study.quick) return {{20, {1, 5, 20}, {0, 8, 16}}};
  return {{20, {1, 2, 5, 10, 20}, {0, 4, 8, 12, 16}}, {50, {1, 2, 5, 10, 25}, {0, 10, 20, 30, 40}}};
}

std::string table_cell(std::string_view reward, std::string_view label, std::uint64_t seed) {
  return "table1/" + std::string(reward) + "-" + std::string(label) + "-" + std::to_string(seed);
}

std::string convergence_cell(std::string_view label, std::uint64_t seed) {
  if (label == "alignprop") return table_cell("symmetry", label, seed);
  return "fig6/" + std::string(label) + "-" + std::to_string(seed);
}

std::string norm_cell(int steps) { return "fig7/T" + std::to_string(steps); }

std::string sweep_cell(int steps, int trained, int early_stop, std::uint64_t seed) {
  const int usual_stop = static_cast<int>(std::lround(0.4 * steps));
  if (steps == 20 && trained == 5 && early_stop == usual_stop) return table_cell("symmetry", "drtune", seed);
  const std::string size = "T" + std::to_string(steps), tail = "-" + std::to_string(seed);
  if (early_stop == usual_stop) return "fig8/" + size + "-K" + std::to_string(trained) + tail;
  return "fig9/" + size + "-m" + std::to_string(early_stop) + tail;
}

std::vector<Cell> drtune_cells(const Study& study) {
  std::vector<Cell> all;
  const auto add = [&](Cell cell) {
    if (std::none_of(all.begin(), all.end(), [&](const Cell& other) { return other.name == cell.name; }))
      all.push_back(std::move(cell));
  };
  const auto add_table = [&](std::uint64_t seed) {
    for (const auto& reward : table_rewards())
      for (const auto& m : table_methods()) {
        Cell cell{table_cell(reward.name, m.label, seed), m.method};
        cell.reward = reward.name;
        cell.trained_steps = m.trained_steps;
        cell.early_stop = m.early_stop;
        cell.seed = seed;
        add(cell);
      }
  };
  const auto add_convergence = [&](std::uint64_t seed) {
    Cell cell{convergence_cell("alignprop-stop", seed), Method::kAlignprop, true};
    cell.seed = seed;
    add(cell);
    for (const bool stop : {false, true}) {
      cell.name = convergence_cell(stop ? "draft-T-stop" : "draft-T", seed);
      cell.method = Method::kDraft;
      cell.stop_input = stop;
      cell.trained_steps = cell.steps;
      add(cell);
    }
  };
  const auto add_sweeps = [&](std::uint64_t seed) {
    for (const auto& sweep : sweeps(study)) {
      const int usual_stop = static_cast<int>(std::lround(0.4 * sweep.steps));
      const auto one = [&](int trained, int early_stop) {
        Cell cell{sweep_cell(sweep.steps, trained, early_stop, seed)};
        cell.steps = sweep.steps;
        cell.trained_steps = trained;
        cell.early_stop = early_stop;
        cell.seed = seed;
        add(cell);
      };
      for (const int trained : sweep.trained) one(trained, usual_stop);
      for (const int early_stop : sweep.early_stops) one(5, early_stop);
    }
  };
  add_table(0);
  add_convergence(0);
  for (const int steps : {20, 50})
    if (!norm_depths(study, steps).empty()) {
      Cell cell{norm_cell(steps), Method::kGradientNorms};
      cell.steps = steps;
      add(cell);
    }
  add_sweeps(0);
  for (int seed = 1; seed < study.seeds; ++seed) {
    add_table(static_cast<std::uint64_t>(seed));
    add_convergence(static_cast<std::uint64_t>(seed));
  }
  for (int seed = 1; seed < study.seeds; ++seed) add_sweeps(static_cast<std::uint64_t>(seed));
  return all;
}

}  // namespace rt_reproduce
