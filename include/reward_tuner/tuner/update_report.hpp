// What one update did, in numbers: returned to the caller, printed, and written a line at a time to metrics.jsonl.
#pragma once
#include <cstdint>
#include <iomanip>
#include <map>
#include <ostream>
#include <string>

#include <reward_tuner/core/step_plan.hpp>

namespace reward_tuner {

/// Fields of one update. Means are over the batch.
struct UpdateReport {
  std::int64_t update = 0;                       ///< 1 for the first
  double reward = 0;                             ///< mean reward, higher is better
  std::map<std::string, double> components = {}; ///< means of the reward's parts under their own names
  double loss = 0;                               ///< -scale*reward + regularizer, what was minimised
  double regularizer = 0;                        ///< the regularizer's share of the loss
  double gradient_norm = 0;                      ///< Euclidean norm over all trained tensors, before clipping
  StepPlan plan = {};                            ///< trained steps and early stop
  std::int64_t forwards = 0, backwards = 0;      ///< network calls of this update
  std::int64_t peak_tensor_bytes = 0;            ///< highest sum of tensor bytes allocated during the update
  double seconds = 0;                            ///< wall time
  bool skipped = false;                          ///< a non-finite reward or gradient: parameters and optimizer state were left as they were
  std::string skip_reason = {};                  ///< what was not finite
  std::int64_t skipped_updates = 0;              ///< how many updates of this tuner were skipped so far
};

inline std::ostream& operator<<(std::ostream& out, const UpdateReport& r) {
  const auto flags = out.flags();
  const auto precision = out.precision();
  out << "update " << r.update << "  reward " << std::fixed << std::setprecision(4) << r.reward;
  for (const auto& [name, value] : r.components) out << "  " << name << ' ' << value;
  out << "  gradient " << std::defaultfloat << r.gradient_norm << "  forwards " << r.forwards << "  backwards " << r.backwards << std::fixed << std::setprecision(2)
      << "  " << r.seconds << " s";
  if (r.skipped) out << "  SKIPPED: " << r.skip_reason;
  out.flags(flags);
  out.precision(precision);
  return out;
}

}  // namespace reward_tuner
