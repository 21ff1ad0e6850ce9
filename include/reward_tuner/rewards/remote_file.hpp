// A RemoteReward's options as a JSON file, for programs that take them by name.
#pragma once
#include <filesystem>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/rewards/remote_options.hpp>

namespace reward_tuner {

/// The options of an object whose keys are the fields of RemoteOptions and, under "chat", of ChatOptions; what is left
/// out has its default. "protocol" is "scores" or "chat", "failed" is "error" or "mask", "answers" an object of text
/// and score. An address stands in it, a key never: "key_variable" names the environment variable.
/// Errors: no "url", unknown keys, values of another type; "chat" with the protocol "scores", and "reward", "metric" or
/// "batch" with "chat", which does not read them. RemoteReward itself checks the numbers.
/// Example: {"url": "http://localhost:8000/v1/chat/completions", "protocol": "chat", "chat": {"model": "judge",
/// "pattern": "^(yes|no)", "answers": {"yes": 1, "no": 0}}}
RemoteOptions remote_options(const nlohmann::json& json, const std::string& where = "JSON");

/// The same of a file.
RemoteOptions read_remote_options(const std::filesystem::path& file);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/rewards/remote_file.ipp>
#endif
