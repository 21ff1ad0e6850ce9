// JSON files: written atomically with two spaces of indent; `read_json` comes along from the backend.
#pragma once
#include <filesystem>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>

namespace reward_tuner {

/// Writes `value` with two spaces of indent and a final newline. Readers see the old file or the new one, never a half.
/// Numbers that are not finite become null, as JSON has no word for them. Errors: text that is not UTF-8, a missing or
/// read-only folder.
void write_json(const std::filesystem::path& path, const nlohmann::json& value);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/json_file.ipp>
#endif
