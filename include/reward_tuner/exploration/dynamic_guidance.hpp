// DiffExp's first half: a low guidance scale in the earliest, noisiest steps of training rollouts, the ordinary one
// afterwards.
#pragma once
#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/exploration/exploration_span.hpp>
#include <reward_tuner/models/condition.hpp>

namespace reward_tuner {

/// The two scales of DynamicGuidance, and when the low one holds.
struct DynamicGuidanceOptions {
  /// w_low, >= 0; 1 and less: the condition alone, which saves half of the network's rows (DiffExp-paper: "extremely
  /// low")
  double low = 1.0;
  /// w_high, >= w_low; unset: the sampler's own scale, >= w_low then (DiffExp-paper: 5.0 or 7.5)
  std::optional<double> high = {};
  /// where t is above this share of T the scale is low, in [0, 1]; 1 never, 0 always. The paper's value is not public
  double threshold = 0.9;
  ExplorationSpan span = {};  ///< the part of the training in which it is active
};
REWARD_TUNER_FIELDS(DynamicGuidanceOptions, low, high, threshold, span);

/// w(t) = w_low if t > threshold*T, else w_high, with t = T - k (DiffExp-paper Eq. 7). Low guidance gives diverse
/// layouts, which the first steps decide; the high scale behind it restores the quality. No gradient of its own; costs
/// nothing, and low = 1 makes its steps cheaper.
/// Example: make<DRTune, DynamicGuidance>(reward, {.exploration = {.low = 1.0, .threshold = 0.9}});
class DynamicGuidance {
 public:
  using Role = ExplorationRole;
  using Options = DynamicGuidanceOptions;
  static constexpr std::string_view kName = "dynamic_guidance";

  explicit DynamicGuidance(DynamicGuidanceOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(std::isfinite(options_.low) && options_.low >= 0,
                       "[DynamicGuidance] low must be finite and >= 0, got ", options_.low);
    REWARD_TUNER_CHECK(!options_.high || (std::isfinite(*options_.high) && *options_.high >= options_.low),
                       "[DynamicGuidance] high must be finite and at least low ", options_.low, ", got ",
                       *options_.high);
    REWARD_TUNER_CHECK(options_.threshold >= 0 && options_.threshold <= 1,
                       "[DynamicGuidance] threshold must be in [0, 1], got ", options_.threshold);
    check_span("DynamicGuidance", options_.span);
  }
  const DynamicGuidanceOptions& options() const { return options_; }

  bool active(const PlanContext& context) const {
    return options_.span.active(context, "[DynamicGuidance] span.updates");
  }
  Condition condition(const Condition& given, Rng&) const { return given; }
  double guidance(double scale, int k, int num_steps) const {
    // a scale up to 1 is the condition alone
    REWARD_TUNER_CHECK(options_.high || options_.low <= std::max(scale, 1.0),
                       "[DynamicGuidance] low must be at most the sampler's guidance ", scale,
                       " where high is unset, got ", options_.low);
    const int t = num_steps - k;
    // 0.58*50 is a few ulps below 29: t = 29 is not above it
    const bool early = t > (options_.threshold + 1e-9) * num_steps;
    return early ? options_.low : options_.high.value_or(scale);
  }

 private:
  DynamicGuidanceOptions options_;
};
static_assert(ExplorationPolicy<DynamicGuidance>);

}  // namespace reward_tuner
