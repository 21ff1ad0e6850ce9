// What is run: every cell of every experiment, and how large it is.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace rt_reproduce {

/// The estimators that are compared.
enum class Method { kDrtune, kDraft, kDraftLv, kRefl, kAlignprop, kGradientNorms };

/// One run: a method on a reward with one seed. kGradientNorms instead measures norms and trains nothing.
struct Cell {
  std::string name;                 ///< "table1/symmetry-drtune-0": also its folder below the study's
  Method method = Method::kDrtune;
  bool stop_input = false;          ///< the gradient is stopped at the network's input where the method itself would let it pass
  std::string reward = "symmetry";  ///< symmetry, jpeg_error or clip_score
  int steps = 20;                   ///< T
  int trained_steps = 1;            ///< K of DRTune and DRaFT
  int early_stop = 0;               ///< m of DRTune
  std::uint64_t seed = 0;
};

/// A row of Table 1.
struct TableMethod {
  std::string label;                ///< in names of cells and in tables
  std::string title;
  Method method;
  int trained_steps, early_stop;
};
const std::vector<TableMethod>& table_methods();

/// A reward of Table 1 with the paper's numbers.
struct TableReward {
  std::string name;                 ///< symmetry
  std::string title;
  std::string metric;               ///< the held-out metric it is judged by
  bool lower_is_better;
  std::vector<std::pair<std::string, double>> paper;  ///< label of a method -> the paper's number
};
const std::vector<TableReward>& table_rewards();

/// All that decides the numbers beside the cell itself.
struct Study {
  std::filesystem::path out;        ///< one folder a cell below it
  std::filesystem::path model = "examples/models/tiny-shapes", prompts = "examples/tune/prompts_train.txt", held_out = "examples/tune/prompts_heldout.txt";
  bool quick = false;
  double cpu_seconds = 75;          ///< CPU time of the updates of a cell
  int seeds = 3;                    ///< of the cells that train
  int held_out_seeds = 2;           ///< pictures of each held-out prompt
  double kl_weight = 0;             ///< of KlToReference, in all cells
  int norm_batches = 6;             ///< batches at which gradient norms are measured
  std::vector<std::string> only;    ///< if not empty: cells whose names begin so
};
/// The sizes of `--quick` (minutes on two cores) and of the full study (about two hours).
Study make_study(bool quick);

/// All cells in the order they are run: every experiment once with the first seed, then the further seeds.
std::vector<Cell> cells(const Study& study);
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

/// What is equal in all cells. Kept in DIR/study.json; a folder with other settings is refused.
struct Settings {
  static constexpr double kGuidance = 3.0, kTextWeight = 0.5, kLearningRate = 1.5e-3, kBeta1 = 0.9, kBeta2 = 0.99, kWeightDecay = 0, kClip = 0.1, kEma = 0.9;
  static constexpr int kRank = 8, kBatch = 8, kWarmUp = 5, kReflMaxStop = 10, kPictures = 8;
  static constexpr std::uint64_t kFirstHeldOutSeed = 1000;
};
/// Factor of a reward, so that all are of one size beside the regularizer.
double reward_scale(std::string_view reward);
nlohmann::json study_settings(const Study& study);

}  // namespace rt_reproduce
