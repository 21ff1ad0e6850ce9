// The methods by name: what each is, which settings it knows, and its own defaults.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "tune_settings.hpp"

namespace rt_shared {

/// Where a method's code is. A unit is one translation unit and one tuner type: methods that differ in policies chosen
/// at run time share it. A program has the methods of the units that are linked into it.
enum class MethodUnit { kStopped, kPassed, kClippedRatio, kReinforce, kKlRegularized, kPreference, kDenoising, kTasks };

/// One row of the table.
struct MethodEntry {
  std::string_view name, summary;
  /// What settings it knows, in words: gradient (follows the reward's gradient) or sampled (learns from sampled
  /// images); of the latter log-prob or denoising; of log-prob clip, window, pairs, dpok.
  std::string_view traits;
  MethodUnit unit;
  int trained_steps = 0;                          ///< default of --trained-steps where the sampler has so many
  AdvantageName advantage = AdvantageName::kOwn;  ///< default of --advantage; log-prob only
  int branches = 1;                               ///< default of --branches; log-prob only

  /// Whether `word` is its name or among its traits.
  bool knows(std::string_view word) const;
  /// Whether it knows one of `words`, which blanks part. Of no words: yes.
  bool knows_any(std::string_view words) const;
};

const std::vector<MethodEntry>& method_entries();
/// The row of a name. Errors: a name that is not in the table.
const MethodEntry& method_entry(std::string_view name);
/// "drtune, refl and lsrl": the methods that know one of `words`.
std::string methods_that_know(std::string_view words);

/// "a, b and c"; `last` stands before the last.
std::string listed(const std::vector<std::string>& words, std::string_view last = "and");

}  // namespace rt_shared
