// DPOK: policy gradient with a penalty on leaving the untuned network, and a learned value as baseline.
#pragma once
#include <ATen/ops/maximum.h>

#include <cmath>
#include <optional>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/round_options.hpp>
#include <reward_tuner/objectives/clip_range.hpp>
#include <reward_tuner/objectives/policy_rows.hpp>

namespace reward_tuner {

/// The learned baseline V(x_t, t, text) of DPOK's public code.
struct ValueBaselineOptions {
  /// subtract V from the advantage of every row; false: the advantage as it is. Unset: true, but false with branches,
  /// which take V's place together with the normalized rewards (B2-DiffuRL paper, appendix D.1 and D.2)
  std::optional<bool> enabled = {};
  double learning_rate = 1e-4;  ///< of its own AdamW, > 0 (DPOK's code: 1e-4)
  int steps = 5;                ///< optimizer steps on V after each round, >= 1 (DPOK's code: 5)
  int batch = 256;              ///< rows in each of them, drawn from the round, >= 1 (DPOK's code: 256)
};
REWARD_TUNER_FIELDS(ValueBaselineOptions, enabled, learning_rate, steps, batch);

/// The two weights, the clip range and the baseline of KlRegularized, and how its rounds are sampled and trained.
struct KlRegularizedOptions {
  double reward_weight = 100;  ///< factor on the policy loss, > 0 (DPOK's code: 100)
  /// factor on the divergence, >= 0; 0 switches it off and saves the reference's network calls (DPOK's code: 0.01)
  double kl_weight = 0.01;
  std::optional<double> clip = {};       ///< epsilon of the ratio, > 0, as in ClippedRatio (DPOK's code: 1e-4)
  std::optional<double> clip_nats = {};  ///< the same in nats, > 0, as in ClippedRatio; unset like clip: 1.64
  /// take the larger of clipped and unclipped loss as PPO does; DPOK's code does not: no gradient outside the range on
  /// either side
  bool pessimistic = false;
  ValueBaselineOptions value = {};  ///< the learned baseline
  RoundOptions round = {};          ///< how a round is sampled and trained; updates_per_epoch = 0 is 5 (DPOK's code)
};
REWARD_TUNER_FIELDS(KlRegularizedOptions, reward_weight, kl_weight, clip, clip_nats, pessimistic, value, round);

/// L = -reward_weight * A * clamp(ratio, 1 - epsilon, 1 + epsilon) + kl_weight * mean (h - h_pre)^2, A = R - V(x_t, t,
/// text); h, h_pre the guided outputs of tuned and untuned network (Fan et al. 2023, Alg. 1 and Eq. 9; B2-DiffuRL paper
/// Eq. 7). The exact divergence of a step has the factor b^2/(2c^2), which the public code drops.
class KlRegularized {
 public:
  using Role = ObjectiveRole;
  using Options = KlRegularizedOptions;
  static constexpr std::string_view kName = "kl_regularized";
  static constexpr Surrogate kSurrogate = Surrogate::kLogProb;

  explicit KlRegularized(KlRegularizedOptions options = {}) : options_(options) {
    const auto& o = options_;
    REWARD_TUNER_CHECK(o.reward_weight > 0 && std::isfinite(o.reward_weight),
                       "[KlRegularized] reward_weight must be > 0, got ", o.reward_weight);
    REWARD_TUNER_CHECK(o.kl_weight >= 0 && std::isfinite(o.kl_weight), "[KlRegularized] kl_weight must be >= 0, got ",
                       o.kl_weight);
    check_clip("KlRegularized", o.clip, o.clip_nats);
    REWARD_TUNER_CHECK(o.value.learning_rate > 0 && std::isfinite(o.value.learning_rate),
                       "[KlRegularized] value.learning_rate must be > 0, got ", o.value.learning_rate);
    REWARD_TUNER_CHECK(o.value.steps >= 1, "[KlRegularized] value.steps must be >= 1, got ", o.value.steps);
    REWARD_TUNER_CHECK(o.value.batch >= 1, "[KlRegularized] value.batch must be >= 1, got ", o.value.batch);
    check_options(o.round);
  }
  static KlRegularizedOptions completed(KlRegularizedOptions options, const ObjectiveContext& context) {
    constexpr int kUpdates = 5;
    options.round = with_updates(options.round, kUpdates);
    if (!options.value.enabled) options.value.enabled = context.branches == 1;
    return with_clip(options, context);
  }
  const KlRegularizedOptions& options() const { return options_; }
  bool needs_reference() const { return options_.kl_weight > 0; }
  double clip() const { return known_clip("KlRegularized", options_.clip); }
  const ValueBaselineOptions& value_baseline() const { return options_.value; }

  /// Rows [n] -> losses [n].
  Tensor losses(const PolicyRows& rows) const {
    const Tensor ratio = rows.ratios();                                                                     // [n]
    const Tensor clipped = -rows.advantages * ratio.clamp(1 - clip(), 1 + clip());                          // [n]
    const Tensor policy = options_.pessimistic ? at::maximum(-rows.advantages * ratio, clipped) : clipped;  // [n]
    return rows.drift.defined() ? options_.reward_weight * policy + options_.kl_weight * rows.drift
                                : options_.reward_weight * policy;
  }

 private:
  KlRegularizedOptions options_;
};
static_assert(LogProbObjective<KlRegularized>);

}  // namespace reward_tuner
