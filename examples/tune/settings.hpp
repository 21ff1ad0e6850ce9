// Every setting of `rt-tune tune`, with the default that --help shows.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace rt_tune {

/// How images are made; shared by tune, sample and evaluate.
struct SamplingSettings {
  std::string sampler = "ddim";
  int steps = 50;
  double guidance = 7.5;
  std::optional<double> eta;  // unset: 0, or 1 for methods on log-probabilities
};

struct TuneSettings {
  std::set<std::string> given;  // the flags that command line or file name, "--updates"
  // what
  std::filesystem::path model, prompts, eval_prompts, out, tasks;
  std::string method = "drtune";
  std::vector<std::string> rewards = {"symmetry"};
  bool stream_prompts = false;
  bool resume = false;
  // how images are made
  SamplingSettings sampling;
  // methods that follow the reward's gradient
  int trained_steps = 0;          // 0: the method's own default
  std::optional<int> early_stop;  // unset: the method's own default
  std::string gradient_stop = "default";
  int noises = 2;
  std::string horizon = "per-step";
  std::string loss = "negative";
  double loss_target = 0, loss_scale = 1;
  // methods that learn from sampled images
  int samples_per_prompt = 0;  // 0: the method's own default
  int epochs = 1, updates_per_epoch = 1;
  bool step_per_timestep = false;
  int rows = 0;
  std::string log_prob = "mean";
  std::optional<double> clip_range;  // unset: 1.64 nats, see sampled_method.hpp
  std::string advantage = "default";
  std::optional<int> branches;  // unset: the method's own default
  double branch_threshold = 0.5;
  int window_start = 0;
  double beta = 0.1;
  std::string preference_reference = "sampling";
  double dpok_reward_weight = 100, dpok_kl_weight = 0.01;
  bool no_value_baseline = false;
  std::string weighting = "min-max";
  double temperature = 0.2;
  int best = 1, noisings = 1;
  // exploration, with any method
  std::string explore = "none";
  double explore_share = 0.75;
  double guidance_low = 1, guidance_threshold = 0.9;
  double word_weight_low = 1, word_weight_high = 1.5;
  std::string ratio_target = "explored";
  std::int64_t planned_updates = 0;  // 0: updates
  // the regularizer
  std::string regularizer = "none";
  double kl_weight = 0.5;
  std::filesystem::path pretraining_data;
  double pretraining_weight = 1;
  int pretraining_batch = 8;
  std::string pretraining_mode = "joint";
  // the rewards
  std::string symmetry_deviation = "spatial";
  double text_weight = 0;
  std::optional<int> jpeg_quality;  // unset: each JPEG reward's own default
  std::filesystem::path aesthetic_head;
  bool leave_one_out = false;
  // what is trained
  bool full = false;
  std::int64_t rank = 8;
  double alpha = 0;
  std::vector<std::string> targets = {"to_q", "to_k", "to_v", "to_out.0"};
  // optimization
  std::int64_t updates = 100;
  double minutes = 0;
  int batch = 8;
  int micro_batch = 0;
  double learning_rate = 1e-4;
  std::int64_t warm_up = 0;
  double beta1 = 0.9, beta2 = 0.99, weight_decay = 0;
  double clip_gradient = 0.1;
  double ema = 0;
  std::int64_t plateau = 0;
  double divergence = 0;
  // how an update is evaluated
  std::string memory = "replay", rollout_dtype = "same", autocast = "off";
  int replay_batch = 1, decode_batch = 0;
  bool activation_checkpointing = false, adapters_apart = false;
  // evaluation and logs
  std::int64_t evaluate_every = 0;
  int eval_seeds = 1;
  int eval_batch = 16;
  int images = 8;
  std::int64_t checkpoint_every = 25;
  int keep_checkpoints = 2;
  bool no_tensorboard = false, quiet = false;
  // the machine
  std::uint64_t seed = 0;
  int threads = 0;
};

}  // namespace rt_tune
