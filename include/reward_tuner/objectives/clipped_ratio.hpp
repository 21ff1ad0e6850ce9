// The clipped surrogate of proximal policy optimization, per sampler step: DDPO.
#pragma once
#include <ATen/ops/maximum.h>

#include <optional>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/round_options.hpp>
#include <reward_tuner/objectives/clip_range.hpp>
#include <reward_tuner/objectives/policy_rows.hpp>

namespace reward_tuner {

/// The clip range of ClippedRatio, and how its rounds are sampled and trained.
struct ClippedRatioOptions {
  /// epsilon > 0. It bounds the ratio of *reduced* log-probabilities: of means over the latent's D numbers, the D-th
  /// root of the true ratio; with round.reduction = kSum the true one. Unset: clip_nats decides
  std::optional<double> clip = {};
  /// how far the true ratio may go, in nats, > 0: the tuner makes epsilon of it by the latent's size. Unset like clip:
  /// 1.64 (ddpo-pytorch: 1e-4 of a mean over D = 4*64*64)
  std::optional<double> clip_nats = {};
  RoundOptions round = {};  ///< how a round is sampled and trained; updates_per_epoch = 0 is 4 (ddpo-pytorch)
};
REWARD_TUNER_FIELDS(ClippedRatioOptions, clip, clip_nats, round);

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
    check_clip("ClippedRatio", options_.clip, options_.clip_nats);
    check_options(options_.round);
  }
  static ClippedRatioOptions completed(ClippedRatioOptions options, const ObjectiveContext& context) {
    constexpr int kUpdates = 4;  // the clip acts from the second on
    options.round = with_updates(options.round, kUpdates);
    return with_clip(options, context);
  }
  const ClippedRatioOptions& options() const { return options_; }
  double clip() const { return known_clip("ClippedRatio", options_.clip); }

  /// Rows [n] -> losses [n].
  Tensor losses(const PolicyRows& rows) const {
    const Tensor ratio = rows.ratios();  // [n]
    return at::maximum(-rows.advantages * ratio, -rows.advantages * ratio.clamp(1 - clip(), 1 + clip()));
  }

 private:
  ClippedRatioOptions options_;
};
static_assert(LogProbObjective<ClippedRatio>);

}  // namespace reward_tuner
