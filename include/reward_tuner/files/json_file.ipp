// Definitions of json_file.hpp.
#pragma once
#include <reward_tuner/files/json_file.hpp>

#include <string>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/atomic_file.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE void write_json(const std::filesystem::path& path, const nlohmann::json& value) {
  std::string text;
  try {
    text = value.dump(2) + "\n";
  } catch (const nlohmann::json::exception& problem) {
    detail::fail("[write_json] expected UTF-8 text for ", path, ", got: ", problem.what());
  }
  write_file_atomically(path, text);
}

}  // namespace reward_tuner
