// A tuner's state in a checkpoint: numbers and rewards as JSON, tensors separately under "tuner.<path>.<name>".
#pragma once
#include <torch/types.h>

#include <map>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/tuner/tuner_state.hpp>

namespace reward_tuner {

/// Everything but the tensors. Doubles survive bit for bit.
nlohmann::json to_json(const TunerState& s);

/// The state of `json` with its tensors from `tensors`, whose names begin with `prefix`. Errors: nlohmann's, on
/// anything that is not such a state.
TunerState tuner_state_from_json(const nlohmann::json& json, const std::map<std::string, Tensor>& tensors,
                                 const std::string& prefix = "tuner.");

/// Adds the state's tensors to a checkpoint's.
void add_tensors(const TunerState& s, std::map<std::string, Tensor>& out, const std::string& prefix = "tuner.");

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/tuner_state_json.ipp>
#endif
