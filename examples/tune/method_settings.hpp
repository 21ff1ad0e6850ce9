// What of the settings belongs to the chosen method: flags without meaning are refused, and what is left open gets the
// method's own value.
#pragma once
#include <cstdint>

#include <nlohmann/json.hpp>

#include "methods.hpp"

namespace rt_tune {

/// Errors: a flag that was given and has no meaning with the method, or with another flag; eta 0 with a method on
/// log-probabilities.
void check_flags(const TuneSettings& settings, const MethodEntry& method);

/// Writes the method's own values where the settings leave them open. `latent_numbers`: D, the numbers of a latent.
/// `per_group`: the reward scores groups of images.
void complete(TuneSettings& settings, const MethodEntry& method, std::int64_t latent_numbers, bool per_group);

/// Whether a run evaluates the untuned network.
bool needs_reference(const TuneSettings& settings, const MethodEntry& method);

/// The settings of methods that learn from samples, and of exploration, that decide the numbers. Empty with the other
/// methods and no exploration.
nlohmann::json deciding_method_options(const TuneSettings& settings, const MethodEntry& method);

}  // namespace rt_tune
