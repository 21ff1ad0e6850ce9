#include "defaults.hpp"

#include <algorithm>
#include <cmath>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/run/best_evaluation.hpp>
#include <reward_tuner/step_selection/late_jump.hpp>

#include "sampler_options.hpp"
#include "settings_table.hpp"

namespace rt_shared {

namespace {

void complete_steps(TuneSettings& s, const MethodEntry& m) {
  if (s.trained_steps == 0) s.trained_steps = std::min(m.trained_steps, s.steps);
  if (m.name == "refl" && !s.early_stop) s.early_stop = std::min(rt::LateJumpOptions{}.max_stop, s.steps);
}

void complete_log_prob(TuneSettings& s, const MethodEntry& m) {
  if (s.advantage == AdvantageName::kOwn) s.advantage = m.advantage;
  if (!s.branches) s.branches = m.branches;
  if (!s.eta && s.sampler == SamplerName::kDdim) s.eta = 1;
  if (!s.solver_order && s.sampler == SamplerName::kSdeDpm) s.solver_order = 1;
}

bool compares_images(const TuneSettings& s) {
  return s.advantage == AdvantageName::kPerGroup || s.advantage == AdvantageName::kPerReward;
}

/// One reward for all images of a prompt leaves nothing to compare within them.
void check_equal_rewards(const TuneSettings& s, const MethodEntry& m) {
  REWARD_TUNER_CHECK(!compares_images(s), "[rt-tune] --reward ", s.rewards.front(),
                     " gives all images of a prompt one reward, of which --advantage ",
                     s.advantage == AdvantageName::kPerGroup ? "per-group" : "per-reward", " of --method ", m.name,
                     " learns nothing: choose --advantage per-batch, or --leave-one-out");
  REWARD_TUNER_CHECK(*s.branches == 1, "[rt-tune] --reward ", s.rewards.front(),
                     " gives all branches of an image one reward, so that none is best of the ", *s.branches,
                     " of --method ", m.name, ": choose --branches 1, or --leave-one-out");
}

void complete_samples(TuneSettings& s, bool per_group) {
  if (s.samples_per_prompt != 0) return;
  const bool best = s.weighting == rt::RewardWeighting::kBest;
  const bool compares = per_group || best || compares_images(s);
  s.samples_per_prompt = 1;
  if (!compares || s.branches.value_or(1) > 1) return;  // branches of an image are a group already
  s.samples_per_prompt = std::max(rt::kComparedImages, best ? s.best + 1 : 1);
}

}  // namespace

void check_settings(const TuneSettings& s, const MethodEntry& m) {
  for (const char* own : {"rank", "alpha", "targets"})
    REWARD_TUNER_CHECK(s.init_lora.empty() || !s.was_given(own), "[rt-tune] --", own,
                       " cannot be combined with --init-lora, whose file has its own");
  check_rules(settings_table(), s, m);
  REWARD_TUNER_CHECK(s.random_shift >= 0, "[rt-tune] --random-shift expected a number >= 0, got ", s.random_shift);
  REWARD_TUNER_CHECK(s.saved_strength != 0 && std::isfinite(s.saved_strength),
                     "[rt-tune] --saved-strength expected a finite number other than 0, got ", s.saved_strength);
  REWARD_TUNER_CHECK(s.steps >= 1, "[rt-tune] --steps expected a number >= 1, got ", s.steps);
  REWARD_TUNER_CHECK(s.regularizer != RegularizerName::kPretraining || !s.pretraining_data.empty(),
                     "[rt-tune] --regularizer pretraining expected --pretraining-data, a folder of captioned images, "
                     "got none");
  REWARD_TUNER_CHECK(s.regularizer != RegularizerName::kKl || !m.knows("denoising"),
                     "[rt-tune] --regularizer kl cannot be combined with --method ", m.name,
                     ", which trains no sampler steps");
  REWARD_TUNER_CHECK(s.kl_weight >= 0, "[rt-tune] --kl-weight expected a number >= 0, got ", s.kl_weight);
  REWARD_TUNER_CHECK(s.planned_updates >= 0,
                     "[rt-tune] --planned-updates expected a number >= 0 (0: as --updates), got ", s.planned_updates);
  REWARD_TUNER_CHECK(s.learning_rate > 0 && std::isfinite(s.learning_rate),
                     "[rt-tune] --learning-rate expected a finite number above 0, got ", s.learning_rate);
  REWARD_TUNER_CHECK(s.lr_floor >= 0 && s.lr_floor <= 1, "[rt-tune] --lr-floor expected a number from 0 to 1, got ",
                     s.lr_floor);
  REWARD_TUNER_CHECK(s.lr_warmup >= 0, "[rt-tune] --lr-warmup expected a number >= 0, got ", s.lr_warmup);
  REWARD_TUNER_CHECK(s.rank_seconds > 0 && std::isfinite(s.rank_seconds),
                     "[rt-tune] --rank-seconds expected a finite number above 0, got ", s.rank_seconds);
  REWARD_TUNER_CHECK(s.peak_tflops >= 0 && std::isfinite(s.peak_tflops),
                     "[rt-tune] --peak-tflops expected a finite number >= 0 (0: unknown), got ", s.peak_tflops);
  const int least = m.knows("pairs") ? 2 : 1;
  REWARD_TUNER_CHECK(s.branches.value_or(m.branches) >= least, "[rt-tune] --branches expected a number >= ", least,
                     " with --method ", m.name, ", got ", *s.branches);
  REWARD_TUNER_CHECK(
      !m.knows("log-prob") || s.sampler != SamplerName::kDdim || s.eta.value_or(1) != 0, "[rt-tune] --method ", m.name,
      " learns from the noise of the sampler's steps, got --eta 0: leave --eta away, which means 1, or raise it");
  REWARD_TUNER_CHECK(!m.knows("log-prob") || (s.sampler != SamplerName::kDpm && s.sampler != SamplerName::kEuler),
                     "[rt-tune] --method ", m.name,
                     " learns from the noise of the sampler's steps, expected --sampler ddim, ddpm, sde-dpm++ or "
                     "euler-ancestral, got --sampler ",
                     sampler_name(s.sampler));
  REWARD_TUNER_CHECK(!m.knows("log-prob") || s.sampler != SamplerName::kSdeDpm || s.solver_order.value_or(1) == 1,
                     "[rt-tune] --method ", m.name,
                     " needs steps whose density is given by the latent alone, expected --solver-order 1, which is the "
                     "default, got ",
                     s.solver_order.value_or(1));
  REWARD_TUNER_CHECK(s.stop_when_judges_fall >= 0,
                     "[rt-tune] --stop-when-judges-fall expected a number >= 0 (0: never), got ",
                     s.stop_when_judges_fall);
  REWARD_TUNER_CHECK(s.stop_when_judges_fall == 0 || s.evaluate_every > 0,
                     "[rt-tune] --stop-when-judges-fall expected --evaluate-every of 1 or more, got ",
                     s.evaluate_every);
  REWARD_TUNER_CHECK(s.keep_best.empty() || s.keep_best == rt::kTrainedReward ||
                         std::find(s.judges.begin(), s.judges.end(), s.keep_best) != s.judges.end(),
                     "[rt-tune] --keep-best expected ", rt::kTrainedReward, " or the NAME of a --judge, got ",
                     s.keep_best);
  REWARD_TUNER_CHECK(s.keep_best.empty() || s.evaluate_every > 0,
                     "[rt-tune] --keep-best expected --evaluate-every of 1 or more, got ", s.evaluate_every);
  REWARD_TUNER_CHECK(s.tasks.empty() || !s.was_given("reward"),
                     "[rt-tune] --reward cannot be combined with --tasks, whose tables name the rewards");
  // what would be refused anyway, after the model is loaded
  const rt::AnySampler sampler(sampler_options(s));
  if (!s.full && s.init_lora.empty()) rt::check_options(rt::LoraOptions{.rank = s.rank, .alpha = s.alpha});
  rt::check_options(
      {.learning_rate = s.learning_rate, .beta1 = s.beta1, .beta2 = s.beta2, .weight_decay = s.weight_decay},
      s.optimizer == OptimizerName::kAdamW8bit ? "AdamW8bit" : "AdamW");
}

void complete(TuneSettings& s, const MethodEntry& m, bool per_group) {
  complete_steps(s, m);
  // Zhang et al. 2024, Alg. 1: an optimizer step a timestep
  if (m.name == "lsrl" && !s.was_given("step-per-timestep")) s.step_per_timestep = s.updates_per_epoch == 0;
  if (!s.was_given("word-weight-low")) s.word_weight_low = std::min(s.word_weight_low, s.word_weight_high);
  if (!s.was_given("word-weight-high")) s.word_weight_high = std::max(s.word_weight_high, s.word_weight_low);
  if (m.name == "raft") s.weighting = rt::RewardWeighting::kBest;
  if (m.knows("log-prob")) {
    complete_log_prob(s, m);
    if (per_group && s.rewards.size() == 1 && !s.leave_one_out) check_equal_rewards(s, m);  // parity alone
  }
  if (m.knows("sampled")) complete_samples(s, per_group);
  if (!s.eta) s.eta = 0;  // the value in force, for config.json
}

bool needs_reference(const TuneSettings& s, const MethodEntry& m) {
  return s.regularizer == RegularizerName::kKl || m.name == "reward-weighted" ||
         (m.knows("dpok") && s.dpok_kl_weight > 0) ||
         (m.knows("pairs") && s.preference_reference == rt::PreferenceReference::kUntuned);
}

}  // namespace rt_shared
