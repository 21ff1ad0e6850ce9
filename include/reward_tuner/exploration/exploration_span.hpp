// The part of the training in which an exploration is active.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/step_plan.hpp>

namespace reward_tuner {

/// The first `share` of the planned updates explores, the rest does not. DiffExp-paper, implementation details: three
/// quarters.
struct ExplorationSpan {
  double share = 0.75;                       ///< of the planned updates, in [0, 1] (DiffExp-paper: 3/4)
  std::optional<std::int64_t> updates = {};  ///< planned updates, >= 1; unset: the run's, by the tuner's plan()

  /// Products like 0.55*100 are a few ulps above the whole number they stand for; 1e-9 keeps them from adding an
  /// update. Errors: neither `updates` nor the run's length is known; `option` names it: "[DiffExp] span.updates".
  bool active(const PlanContext& context, std::string_view option) const {
    const std::int64_t length = planned_length(updates, context, option);
    return static_cast<double>(context.update) < (share - 1e-9) * static_cast<double>(length);
  }
};
REWARD_TUNER_FIELDS(ExplorationSpan, share, updates);

/// Throws a named error unless the span is in range; `policy` is the name in front.
inline void check_span(std::string_view policy, const ExplorationSpan& span) {
  REWARD_TUNER_CHECK(span.share >= 0 && span.share <= 1, "[", policy, "] span.share must be in [0, 1], got ",
                     span.share);
  REWARD_TUNER_CHECK(!span.updates || *span.updates >= 1, "[", policy, "] span.updates must be >= 1, got ",
                     *span.updates);
}

}  // namespace reward_tuner
