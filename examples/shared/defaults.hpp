// The defaults that depend on other settings, and the rules that no row of the table can say.
#pragma once
#include "method_table.hpp"

namespace rt_shared {

/// Errors: settings that contradict the method or one another, each a sentence.
void check_settings(const TuneSettings& s, const MethodEntry& method);

/// Writes the method's own values where the settings leave them open. A default bends to what the user said: of 5
/// trained steps a sampler of 4 trains 4. Only what he said himself can be an error.
/// `per_group`: the reward scores groups of images.
/// Errors: a method that learns nothing from a reward of groups.
void complete(TuneSettings& s, const MethodEntry& method, bool per_group);

/// Whether a run evaluates the untuned network.
bool needs_reference(const TuneSettings& s, const MethodEntry& method);

}  // namespace rt_shared
