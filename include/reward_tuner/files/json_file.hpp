// JSON files: written atomically with two spaces of indent; `read_json` comes along from the backend.
#pragma once
#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/atomic_file.hpp>
#include <reward_tuner/files/json_config.hpp>

namespace reward_tuner {

/// Writes `value` with two spaces of indent and a final newline. Readers see the old file or the new one, never a half.
/// Numbers that are not finite become null, as JSON has no word for them. Errors: text that is not UTF-8, a missing or
/// read-only folder.
inline void write_json(const std::filesystem::path& path, const nlohmann::json& value) {
  std::string text;
  try {
    text = value.dump(2) + "\n";
  } catch (const nlohmann::json::exception& problem) {
    detail::fail("[write_json] expected UTF-8 text for ", path, ", got: ", problem.what());
  }
  write_file_atomically(path, text);
}

}  // namespace reward_tuner
