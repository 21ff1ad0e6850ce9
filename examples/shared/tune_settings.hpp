// Every setting of a tuning run, with its default. What each is called, means and decides stands in settings_table.cpp.
#pragma once
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <reward_tuner/advantages/per_group.hpp>
#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/core/round_options.hpp>
#include <reward_tuner/core/solver_config.hpp>
#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/objectives/direct_gradient.hpp>
#include <reward_tuner/objectives/preference.hpp>
#include <reward_tuner/objectives/reward_weighted.hpp>
#include <reward_tuner/optim/learning_rate.hpp>
#include <reward_tuner/regularizers/pretraining_loss.hpp>
#include <reward_tuner/rewards/symmetry.hpp>
#include <reward_tuner/step_selection/random_horizon.hpp>

namespace rt_shared {

namespace rt = reward_tuner;

/// Policies that a setting names. kOwn: the method's.
enum class SamplerName { kDdim, kDdpm, kDpm, kSdeDpm, kEuler, kEulerAncestral };
enum class StopName { kOwn, kStop, kPass };
enum class AdvantageName { kOwn, kPerBatch, kPerPrompt, kPerGroup, kPerReward, kHistory };
enum class ExplorationName { kNone, kGuidance, kPrompt, kDiffexp };
enum class RegularizerName { kNone, kKl, kPretraining };
enum class ReferenceName { kBase, kInit };
enum class OptimizerName { kAdamW, kAdamW8bit };
enum class TextEncoders { kNone, kFirst, kSecond, kBoth };

/// Two whole numbers: sides, or the rows and columns before a point.
using Pair = std::array<std::int64_t, 2>;

struct TuneSettings {
  std::set<std::string> given;  ///< names of the settings that the user gave: "updates"

  // what
  std::filesystem::path model, tokenizer, prompts, eval_prompts, out, tasks;
  std::optional<rt::PredictionType> prediction;
  std::string variant;
  std::string method = "drtune";
  std::vector<std::string> rewards = {"symmetry"};
  std::int64_t random_shift = 0;
  std::vector<std::string> judges;         // names of rewards
  std::vector<std::string> reward_models;  // NAME=PATH
  std::string prompt_field = "prompt";
  bool stream_prompts = false;
  bool resume = false;
  // how images are made
  SamplerName sampler = SamplerName::kDdim;
  int steps = 50;
  double guidance = 7.5;
  std::optional<double> eta;
  std::optional<rt::TimestepSpacing> spacing;
  std::optional<rt::LevelSpacing> noise_levels;
  std::optional<int> solver_order;
  std::optional<rt::SolverType> solver_type;
  std::optional<std::string> negative;
  std::optional<std::int64_t> height, width;
  std::optional<Pair> original_size, crop, target_size;  // what SDXL is told
  std::vector<std::string> loras;                        // PATH[:SCALE]
  // methods that follow the reward's gradient
  int trained_steps = 0;
  std::optional<int> early_stop;
  StopName gradient_stop = StopName::kOwn;
  int noises = 2;
  rt::HorizonDraw horizon = rt::HorizonDraw::kPerStep;
  rt::RewardLoss loss = rt::RewardLoss::kNegative;
  double loss_target = 0, loss_scale = 1;
  // methods that learn from sampled images
  int samples_per_prompt = 0;
  int epochs = 1, updates_per_epoch = 0;
  bool step_per_timestep = false;
  int rows = 0;
  rt::LogProbReduction log_prob = rt::LogProbReduction::kMean;
  rt::StepWeights step_weights = rt::RoundOptions().step_weights;
  int skip_last = 0;
  std::optional<double> clip_range, clip_nats;
  AdvantageName advantage = AdvantageName::kOwn;
  rt::GroupScale group_scale = rt::GroupScale::kGroup;
  std::optional<int> branches;
  double branch_threshold = 0.5;
  int window_start = 0;
  double beta = 0.1;
  rt::PreferenceReference preference_reference = rt::PreferenceReference::kSampling;
  double dpok_reward_weight = 100, dpok_kl_weight = 0.01;
  std::optional<bool> value_baseline;
  rt::RewardWeighting weighting = rt::RewardWeighting::kMinMax;
  double temperature = 0.2;
  int best = 1, noisings = 1;
  // exploration, with any method
  ExplorationName explore = ExplorationName::kNone;
  double explore_share = 0.75;
  double guidance_low = 1, guidance_threshold = 0.9;
  double word_weight_low = 1, word_weight_high = 1.5;
  rt::RatioTarget ratio_target = rt::RatioTarget::kExplored;
  std::int64_t planned_updates = 0;
  // the regularizer
  RegularizerName regularizer = RegularizerName::kNone;
  double kl_weight = 0.5;
  std::filesystem::path pretraining_data;
  double pretraining_weight = 1;
  int pretraining_batch = 8;
  rt::PretrainingMode pretraining_mode = rt::PretrainingLossOptions{}.mode;
  double pretraining_dropout = rt::PretrainingLossOptions{}.dropout;
  // the rewards
  rt::SymmetryDeviation symmetry_deviation = rt::SymmetryDeviation::kSpatial;
  double text_weight = 0;
  std::optional<int> jpeg_quality;
  std::filesystem::path aesthetic_head;
  bool leave_one_out = false;
  // what is trained
  bool full = false;
  double saved_strength = 1;
  std::filesystem::path init_lora;
  ReferenceName reference = ReferenceName::kBase;
  std::int64_t rank = 8;
  double alpha = 0;
  std::vector<std::string> targets = {"to_q", "to_k", "to_v", "to_out.0"};
  TextEncoders train_text_encoder = TextEncoders::kNone;
  // optimization
  std::int64_t updates = 100;
  double minutes = 0;
  int batch = 8;
  int micro_batch = 0;
  double learning_rate = 1e-4;
  rt::LearningRateDecay lr_schedule = rt::LearningRateDecay::kConstant;
  double lr_floor = 0;
  std::int64_t lr_warmup = 0;
  OptimizerName optimizer = OptimizerName::kAdamW;
  double beta1 = 0.9, beta2 = 0.99, weight_decay = 0;
  std::optional<double> clip_gradient;
  double ema = 0;
  std::int64_t plateau = 0;
  double divergence = 0;
  std::int64_t stop_when_judges_fall = 0;
  std::string keep_best;
  std::int64_t max_idle = 20;
  std::uint64_t seed = 0;
  // how an update is computed
  rt::Memory memory = rt::Memory::kReplay;
  std::optional<c10::ScalarType> rollout_dtype, autocast;
  double gradient_scale = rt::EngineOptions{}.gradient_scale;
  int gradient_scale_growth = rt::EngineOptions{}.gradient_scale_growth;
  int replay_batch = 1, decode_batch = 0;
  bool capture_rollout = false;
  bool activation_checkpointing = false, adapters_apart = false;
  bool vae_tiling = false, offload = false;
  // evaluation and logs
  std::int64_t evaluate_every = 0;
  int eval_seeds = 1;
  int eval_batch = 16;
  int images = 8;
  std::int64_t checkpoint_every = 25;
  int keep_checkpoints = 2;
  std::filesystem::path trace;
  bool no_tensorboard = false, quiet = false;
  // the machine
  c10::Device device = c10::kCPU;
  c10::ScalarType dtype = c10::ScalarType::Float;
  int threads = 0;
  double rank_seconds = 600;
  bool shard_optimizer = false;
  double peak_tflops = 0;

  bool was_given(const std::string& name) const { return given.contains(name); }
};

}  // namespace rt_shared
