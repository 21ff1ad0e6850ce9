// The clipped surrogate of proximal policy optimization, per sampler step: DDPO.
#pragma once
#include <ATen/ops/maximum.h>

#include <cmath>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/round_options.hpp>
#include <reward_tuner/objectives/policy_rows.hpp>

namespace reward_tuner {

/// The clip range of ClippedRatio, and how its rounds are sampled and trained.
struct ClippedRatioOptions {
  /// epsilon > 0. It bounds the ratio of *reduced* log-probabilities: with the mean over D = 4*64*64 numbers 1e-4 is
  /// 1.64 nats of the true ratio (ddpo-pytorch: 1e-4); for other D an equal bound is 1.64 / D; with round.reduction =
  /// kSum it bounds the true ratio
  double clip = 1e-4;
  RoundOptions round = {};  ///< how a round is sampled and trained
};
REWARD_TUNER_FIELDS(ClippedRatioOptions, clip, round);

/// L = max(-A * ratio, -A * clamp(ratio, 1 - epsilon, 1 + epsilon)), ratio = p_theta / p_old of one step
/// (Schulman et al. 2017, Eq. 7; large-scale RL paper Eq. 6-8 with the sums from t = 1; Black et al. 2024, section
/// 4.3). Gradient: 0 where clipped.
class ClippedRatio {
 public:
  using Role = ObjectiveRole;
  using Options = ClippedRatioOptions;
  static constexpr std::string_view kName = "clipped_ratio";
  static constexpr Surrogate kSurrogate = Surrogate::kLogProb;

  explicit ClippedRatio(ClippedRatioOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.clip > 0 && std::isfinite(options_.clip), "[ClippedRatio] clip must be > 0, got ",
                       options_.clip);
    check_options(options_.round);
  }
  const ClippedRatioOptions& options() const { return options_; }
  double clip() const { return options_.clip; }

  /// Rows [n] -> losses [n].
  Tensor losses(const PolicyRows& rows) const {
    const Tensor ratio = rows.ratios();  // [n]
    return at::maximum(-rows.advantages * ratio, -rows.advantages * ratio.clamp(1 - options_.clip, 1 + options_.clip));
  }

 private:
  ClippedRatioOptions options_;
};
static_assert(LogProbObjective<ClippedRatio>);

}  // namespace reward_tuner
