#include "cell_settings.hpp"

#include <string>

#include "drtune_plan.hpp"
#include "lsrl_plan.hpp"
#include "lsrl_tasks.hpp"

namespace rt_reproduce {

namespace {

using rt_shared::TuneSettings;

std::string method_of(const Cell& cell) {
  const std::string window = cell.window ? "b2-" : "";
  switch (cell.method) {
    case Method::kDrtune:
      return "drtune";
    case Method::kDraft:
      return "draft";
    case Method::kDraftLv:
      return "draft-lv";
    case Method::kRefl:
      return "refl";
    case Method::kAlignprop:
      return "alignprop";
    case Method::kDdpo:
      return window + "ddpo";
    case Method::kPolicyGradient:
      return window + "pg";
    case Method::kDpok:
      return window + "dpok";
    case Method::kDpo:
      return window + "dpo";
    case Method::kLsrl:
    case Method::kLsrlJoint:
      return "lsrl";
    case Method::kRaft:
      return "raft";
    case Method::kRewardWeighted:
      return "reward-weighted";
    case Method::kGradientNorms:
    case Method::kUntuned:
      break;
  }
  return "draft";  // gradient norms are those of DRaFT
}

void set_reward(TuneSettings& s, const Study& study, const Cell& cell) {
  s.text_weight = study.settings.text_weight;  // of the symmetry reward
  const double scale = reward_scale(cell.reward);
  s.rewards = {scale == 1 ? cell.reward : cell.reward + ":" + std::to_string(scale)};
  // the same safeguard: a blank image is stored without error
  if (cell.reward == "jpeg_error") s.rewards.push_back("clip_score:" + std::to_string(s.text_weight));
}

/// Methods on log-probabilities but for lsrl.
void set_round(TuneSettings& s, const Study& study, const Cell& cell) {
  const Settings& o = study.settings;
  s.advantage = rt_shared::AdvantageName::kPerGroup;
  s.group_scale = reward_tuner::GroupScale::kBatch;
  s.samples_per_prompt = cell.branches ? 1 : o.samples;
  s.branches = cell.branches ? o.samples : 1;
  s.branch_threshold = cell.method == Method::kDpo ? 0 : kBranchThreshold;
  s.updates_per_epoch = o.optimizer_steps;
  s.skip_last = o.skip_last;
  s.window_start = o.window_start;
  s.beta = kPreferenceBeta;
  if (cell.method == Method::kDpok) s.value_baseline = false;  // B2-paper, App. D.1: with and without B2
}

/// RAFT and reward-weighted training of a task.
void set_denoising(TuneSettings& s, const Study& study, const Cell& cell) {
  set_task(s, study, cell.reward);
  s.updates_per_epoch = study.settings.optimizer_steps;
  if (cell.method == Method::kRaft) {
    if (s.samples_per_prompt < kRaftImages) {  // as many images of fewer prompts
      s.batch = s.batch * s.samples_per_prompt / kRaftImages;
      s.samples_per_prompt = kRaftImages;
    }
    s.best = s.samples_per_prompt / kRaftImages;
    s.noisings = kRaftNoisings;
    s.learning_rate = kRaftLearningRate;
  } else {
    s.weighting = reward_tuner::RewardWeighting::kExponential;
    s.temperature = kWeightedTemperature;
    s.noisings = kWeightedNoisings;
    s.learning_rate = kWeightedLearningRate;
    s.pretraining_weight = kWeightedPretraining;
  }
}

void set_exploration(TuneSettings& s, const Study& study, const Cell& cell) {
  const Settings& o = study.settings;
  if (!cell.guidance && !cell.words) return;
  s.explore = rt_shared::ExplorationName::kDiffexp;
  s.explore_share = kExploreShare;
  s.guidance_low = o.low_guidance;
  s.guidance_threshold = cell.guidance ? o.guidance_threshold : 1;
  s.word_weight_low = 1;
  s.word_weight_high = cell.words ? o.word_weight : 1;
}

void set_run(TuneSettings& s, const Study& study, const Cell& cell) {
  const Settings& o = study.settings;
  s.updates = study.rounds > 0 ? study.rounds * cell.round_updates : 1000000;  // the CPU time ends the run
  s.planned_updates = study.rounds * cell.round_updates;
  s.evaluate_every = o.evaluate_every * cell.round_updates;
  // settings of these studies were chosen with seed 7, which none of their runs has
  s.seed = study.kind == StudyKind::kDrtune ? cell.seed : 100 + cell.seed;
  s.lr_warmup = o.warm_up;
  s.ema = o.ema;
  s.images = o.images;
  s.checkpoint_every = study.kind == StudyKind::kDrtune ? 10 : 2;
  s.keep_checkpoints = 1;
  s.no_tensorboard = true;
}

}  // namespace

TuneSettings cell_settings(const Study& study, const Cell& cell) {
  const Settings& o = study.settings;
  TuneSettings s;
  s.model = study.model;
  s.prompts = study.prompts;
  s.eval_prompts = study.held_out;
  s.out = study.out / cell.name;
  s.method = method_of(cell);
  s.steps = cell.steps;
  s.guidance = guidance_scale(study, cell);
  s.rank = o.rank;
  s.targets = {"all"};
  s.learning_rate = o.learning_rate;
  s.beta1 = o.beta1;
  s.beta2 = o.beta2;
  s.weight_decay = o.weight_decay;
  s.clip_gradient = o.clip;
  s.batch = o.batch;
  s.rows = 16;
  s.clip_range = o.ratio_clip;
  s.leave_one_out = cell.leave_one_out;
  if (cell.stop_input) s.gradient_stop = rt_shared::StopName::kStop;
  if (study.kind == StudyKind::kDrtune && study.kl_weight > 0) {
    s.regularizer = rt_shared::RegularizerName::kKl;
    s.kl_weight = study.kl_weight;
  }
  if (cell.pretraining) {
    s.regularizer = rt_shared::RegularizerName::kPretraining;
    s.pretraining_dropout = 0;  // at guidance 1 there is no unconditional half
  }
  set_reward(s, study, cell);
  set_run(s, study, cell);
  set_exploration(s, study, cell);
  if (study.kind != StudyKind::kDrtune) s.eta = cell.eta;
  switch (cell.method) {
    case Method::kDrtune:
      s.early_stop = cell.early_stop;
      s.trained_steps = cell.trained_steps;
      break;
    case Method::kDraft:
      s.trained_steps = cell.trained_steps;
      break;
    case Method::kRefl:
      s.early_stop = o.refl_max_stop;
      break;
    case Method::kLsrl:
    case Method::kLsrlJoint:
      // tasks have what else is theirs
      s.rewards = {"clip_score"};
      s.trained_steps = kLsrlTrainedSteps;
      s.skip_last = o.skip_last;
      break;
    case Method::kRaft:
    case Method::kRewardWeighted:
      set_denoising(s, study, cell);
      break;
    case Method::kDdpo:
    case Method::kPolicyGradient:
    case Method::kDpok:
    case Method::kDpo:
      set_round(s, study, cell);
      break;
    case Method::kDraftLv:
    case Method::kAlignprop:
      if (study.rounds > 0) s.batch = o.direct_batch;
      if (study.kind == StudyKind::kLsrl) s.rewards = {lsrl_reward(cell.reward)};
      break;
    case Method::kGradientNorms:
    case Method::kUntuned:
      break;
  }
  return s;
}

}  // namespace rt_reproduce
