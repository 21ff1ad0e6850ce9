// DiffExp: the guidance schedule and the word weights together, over one span of the training.
#pragma once
#include <optional>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/exploration/dynamic_guidance.hpp>
#include <reward_tuner/exploration/exploration_span.hpp>
#include <reward_tuner/exploration/prompt_weighting.hpp>
#include <reward_tuner/models/condition.hpp>

namespace reward_tuner {

/// DynamicGuidanceOptions without the span, which both halves of DiffExp share.
struct DiffExpGuidance {
  double low = DynamicGuidanceOptions{}.low;  ///< w_low, >= 0
  std::optional<double> high = {};            ///< w_high, >= w_low; unset: the sampler's own scale
  /// where t is above this share of T the scale is low, in [0, 1]
  double threshold = DynamicGuidanceOptions{}.threshold;
};
REWARD_TUNER_FIELDS(DiffExpGuidance, low, high, threshold);

/// PromptWeightingOptions without the span.
struct DiffExpWords {
  double low = PromptWeightingOptions{}.low;    ///< smallest weight of the word, >= 0
  double high = PromptWeightingOptions{}.high;  ///< largest weight, >= low
};
REWARD_TUNER_FIELDS(DiffExpWords, low, high);

/// Both halves of DiffExp, over one span.
struct DiffExpOptions {
  DiffExpGuidance guidance = {};  ///< see DynamicGuidance
  DiffExpWords words = {};        ///< see PromptWeighting
  ExplorationSpan span = {};      ///< the part of the training in which both are active
};
REWARD_TUNER_FIELDS(DiffExpOptions, guidance, words, span);

/// w(t) of DiffExp-paper Eq. 7 and E of Eq. 8; see DynamicGuidance and PromptWeighting, whose errors these are too.
/// Example: make<AlignProp, DiffExp>(reward, {.exploration = {.guidance = {.low = 0.5}, .words = {.high = 1.3}}});
class DiffExp {
 public:
  using Role = ExplorationRole;
  using Options = DiffExpOptions;
  static constexpr std::string_view kName = "diffexp";

  explicit DiffExp(DiffExpOptions options = {})
      : options_((check_span("DiffExp", options.span), options)),
        guidance_({.low = options.guidance.low,
                   .high = options.guidance.high,
                   .threshold = options.guidance.threshold,
                   .span = options.span}),
        words_({.low = options.words.low, .high = options.words.high, .span = options.span}) {}
  const DiffExpOptions& options() const { return options_; }

  bool active(const PlanContext& context) const { return options_.span.active(context, "[DiffExp] span.updates"); }
  Condition condition(const Condition& given, Rng& rng) const { return words_.condition(given, rng); }
  double guidance(double scale, int k, int num_steps) const { return guidance_.guidance(scale, k, num_steps); }

 private:
  DiffExpOptions options_;
  DynamicGuidance guidance_;
  PromptWeighting words_;
};
static_assert(ExplorationPolicy<DiffExp>);

}  // namespace reward_tuner
