// What is run: the studies, their sizes and settings, and every cell of them.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace rt_reproduce {

/// Whose comparisons are repeated.
enum class StudyKind { kDrtune, kB2, kDiffexp, kLsrl };
/// "drtune", "b2", "diffexp", "lsrl".
const std::vector<std::string>& study_names();
StudyKind study_kind(std::string_view name);
const std::string& study_name(StudyKind kind);

/// The estimators that are compared. kGradientNorms and kUntuned measure and train nothing.
enum class Method {
  kDrtune,
  kDraft,
  kDraftLv,
  kRefl,
  kAlignprop,
  kGradientNorms,
  kDdpo,
  kPolicyGradient,
  kDpok,
  kDpo,
  kLsrl,
  kLsrlJoint,
  kRaft,
  kRewardWeighted,
  kUntuned
};

/// One run: a method on a reward with one seed.
struct Cell {
  std::string name;  ///< "table1/symmetry-drtune-0": also its folder below the study's
  Method method = Method::kDrtune;
  /// the gradient is stopped at the network's input where the method itself would let it pass
  bool stop_input = false;
  std::string reward = "symmetry";  ///< as rt-tune knows it, or a task of the lsrl study
  int steps = 20;                   ///< T
  double eta = 1;                   ///< DDIM's share of noise, in training and in what is measured of the cell
  int trained_steps = 1;            ///< K of DRTune and DRaFT
  int early_stop = 0;               ///< m of DRTune
  std::uint64_t seed = 0;
  // methods that learn from samples, and explorations
  bool window = false;         ///< B2-DiffuRL's backward window; else every step is trained
  bool branches = false;       ///< images of a prompt fork from one rollout, and the best and the worst are trained
  double scale = 0;            ///< of guidance; 0: the study's
  bool guidance = false;       ///< DiffExp's guidance schedule
  bool words = false;          ///< DiffExp's word weights
  bool leave_one_out = false;  ///< of the parity reward
  bool pretraining = false;    ///< the pre-training loss beside the reward
  int round_updates = 1;       ///< updates that make a round: of methods on gradients, which need fewer images for one
};

/// A cell of a comparison but for its seed and name.
struct Variant {
  std::string label;  ///< in names of cells
  std::string title;  ///< in tables
  Cell cell;
};
/// Variants that are compared with each other.
struct Group {
  std::string name;  ///< first part of the cells' names
  std::string title;
  std::vector<Variant> variants;
};

/// What is equal in all cells of a study.
struct Settings {
  double guidance = 3.0, text_weight = 0.5, learning_rate = 1.5e-3, beta1 = 0.9, beta2 = 0.99, weight_decay = 0,
         clip = 0.1, ema = 0.9;
  int rank = 8, batch = 8, warm_up = 5, refl_max_stop = 10, images = 8;
  std::uint64_t first_held_out_seed = 1000;
  // methods that learn from samples, and explorations
  int samples = 3;           ///< images of each prompt a round
  int optimizer_steps = 2;   ///< of each round
  double ratio_clip = 0.01;  ///< of ratios of log-probabilities that are means over elements
  int skip_last = 0;         ///< steps at the end that are not trained
  int direct_batch = 8;      ///< images of an update of methods on gradients
  int window_start = 0;      ///< B2-DiffuRL's n_init
  int evaluate_every = 0;    ///< rounds
  double low_guidance = 0, guidance_threshold = 1, word_weight = 1;  ///< DiffExp
  int pretraining_images = 256, parity_samples = 16;
};

/// Those of examples/recipes/tiny, chosen there by the reward of training prompts with seed 7: learning rate, average,
/// batch and trained steps.
Settings recipe_settings(bool quick);

/// All that decides the numbers beside the cell itself.
struct Study {
  StudyKind kind = StudyKind::kDrtune;
  std::filesystem::path out;  ///< one folder a cell below it
  std::filesystem::path model = "examples/models/tiny-shapes", prompts = "examples/tune/prompts_train.txt",
                        held_out = "examples/tune/prompts_heldout.txt";
  std::filesystem::path task_prompts = "examples/tune";  ///< folder of prompts_parity.txt and the like
  bool quick = false;
  double cpu_seconds = 75;        ///< CPU time of the updates of a cell, unless it has rounds
  int rounds = 0;                 ///< updates of a cell; 0: its CPU time ends it
  int seeds = 3;                  ///< of the cells that train
  int held_out_seeds = 2;         ///< images of each held-out prompt
  int measured_seeds = 0;         ///< and those made after training, of noise that every seed of a cell has its own
  double kl_weight = 0;           ///< of KlToReference, in all cells of drtune
  int norm_batches = 6;           ///< batches at which gradient norms are measured
  std::vector<std::string> only;  ///< if not empty: cells whose names begin so
  Settings settings;
};
/// "group/label-seed".
std::string variant_cell(const Group& group, const Variant& variant, std::uint64_t seed);
/// Whether its cells are measured once more when they are trained (measure.hpp).
bool measures(const Study& study);
/// A cell's guidance scale, in training and in what is measured of it.
double guidance_scale(const Study& study, const Cell& cell);
/// The first noise of the evaluations during a cell's run.
std::uint64_t held_out_noise(const Study& study, const Cell& cell);
/// Whether all of a cell's numbers are there.
bool finished(const Study& study, const std::string& cell);

}  // namespace rt_reproduce
