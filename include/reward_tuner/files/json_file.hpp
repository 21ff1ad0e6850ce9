// JSON files, written atomically with two spaces of indent; includes `read_json`.
#pragma once
#include <filesystem>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/files/json_config.hpp>  // IWYU pragma: export

namespace reward_tuner {

/// Writes `value` with two spaces of indent and a final newline. Readers see the old or the new file, never a partial
/// one. Numbers that are not finite become null, since JSON cannot represent them. Errors: text that is not UTF-8, a
/// missing or read-only folder.
void write_json(const std::filesystem::path& path, const nlohmann::json& value);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/json_file.ipp>
#endif
