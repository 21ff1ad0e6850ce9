// How a round of sampled images is turned into optimizer steps: shared by every objective that learns from samples.
#pragma once
#include <cmath>
#include <optional>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/option_fields.hpp>

namespace reward_tuner {

/// What the D numbers of a transition's log-density are reduced by.
enum class LogProbReduction {
  /// as in every public code read: the ratio is the D-th root of the true one, so a clip range of 1e-4 at D = 16384 is
  /// 1.64 nats
  kMean,
  kSum,  ///< as in the papers: the true log-probability
};

/// Under which condition and guidance the log-probabilities of an explored rollout are taken.
enum class RatioTarget {
  kExplored,  ///< those the rollout used, for old and new alike: the ratio starts at 1
  kPlain,     ///< the unexplored ones, for old (evaluated once more after sampling) and new alike
};

/// How much each trained step weighs in the loss. The gradient of a step's log-probability with respect to the
/// network's output is b*z/(c*D), with the step's coefficients b of the output and c of the noise z: what it learns
/// from rewards does not depend on c, its random size grows as |b|/c. A step that adds little noise (the last but one
/// of DDIM with eta 1: |b|/c = 17 of 4 steps, 5 of 20) then drowns the others. The factors have mean 1 over the trained
/// steps. Learning faster by eight paired runs made kNoise the default (docs/decisions/0027-steps-weigh-by-noise.md).
enum class StepWeights {
  kEqual,         ///< all 1, as in the papers and in recipes that state their numbers
  kNoise,         ///< in proportion to c/|b|: every step's gradient has noise of one size
  kNoiseSquared,  ///< in proportion to (c/|b|)^2: of independent estimates of one gradient the best mean
};

/// Default number of images per prompt where a reward, an advantage or an objective compares them: a group of one
/// carries no signal.
inline constexpr int kComparedImages = 8;

/// How a round of sampled images is trained; the `round` of every objective that learns from samples.
struct RoundOptions {
  /// images of each prompt; 0: one, or kComparedImages where they are compared (not with branches)
  int samples_per_prompt = 0;
  int epochs = 1;  ///< passes over the round's kept images (DDPO's code: 1)
  /// optimizer steps per pass, each on an equal share of the images; 0: the objective's own number, or 1
  int updates_per_epoch = 0;
  /// one optimizer step for each trained timestep over all images instead (large-scale RL paper, Alg. 1)
  bool step_per_timestep = false;
  int rows = 0;  ///< (image, step) pairs in one network call of the training; 0: as many as images in a micro-batch
  LogProbReduction reduction = LogProbReduction::kMean;  ///< see LogProbReduction
  StepWeights step_weights = StepWeights::kNoise;        ///< see StepWeights
  RatioTarget target = RatioTarget::kExplored;           ///< see RatioTarget
  /// take the log-probabilities of a round again before it is trained, by the network that is trained: where rollouts
  /// run in another type (rollout_dtype) the first ratio is 1 then, for one more forward of every trained row
  bool recompute_log_probs = false;
  /// a first ratio further from 1 than this is a warning in the report, > 0; unset: a tenth of the objective's clip
  /// range, 1e-3 without one
  std::optional<double> ratio_tolerance = {};
};
REWARD_TUNER_FIELDS(RoundOptions, samples_per_prompt, epochs, updates_per_epoch, step_per_timestep, rows, reduction,
                    step_weights, target, recompute_log_probs, ratio_tolerance);

inline void check_options(const RoundOptions& o) {
  REWARD_TUNER_CHECK(o.samples_per_prompt >= 0,
                     "[RewardTuner] round.samples_per_prompt must be >= 0 (0: one, or what the advantage needs), got ",
                     o.samples_per_prompt);
  REWARD_TUNER_CHECK(o.epochs >= 1, "[RewardTuner] round.epochs must be >= 1, got ", o.epochs);
  REWARD_TUNER_CHECK(o.updates_per_epoch >= 0,
                     "[RewardTuner] round.updates_per_epoch must be >= 0 (0: the objective's own number), got ",
                     o.updates_per_epoch);
  REWARD_TUNER_CHECK(!o.step_per_timestep || o.updates_per_epoch <= 1, "[RewardTuner] round.updates_per_epoch ",
                     o.updates_per_epoch,
                     " cannot be combined with round.step_per_timestep, which takes one step per timestep");
  REWARD_TUNER_CHECK(o.rows >= 0, "[RewardTuner] round.rows must be >= 0 (0: the images of a micro-batch), got ",
                     o.rows);
  REWARD_TUNER_CHECK(!o.ratio_tolerance || (std::isfinite(*o.ratio_tolerance) && *o.ratio_tolerance > 0),
                     "[RewardTuner] round.ratio_tolerance must be > 0, got ", *o.ratio_tolerance);
}

/// The options with an objective's own number of optimizer steps per pass, where they say nothing.
inline RoundOptions with_updates(RoundOptions options, int updates_per_epoch) {
  if (options.updates_per_epoch == 0 && !options.step_per_timestep) options.updates_per_epoch = updates_per_epoch;
  return options;
}

}  // namespace reward_tuner
