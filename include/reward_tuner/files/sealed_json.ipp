// Definitions of sealed_json.hpp.
#pragma once
#include <reward_tuner/files/sealed_json.hpp>

#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/atomic_file.hpp>
#include <reward_tuner/files/checksum.hpp>
#include <reward_tuner/files/file_bytes.hpp>
#include <reward_tuner/files/json_config.hpp>

namespace reward_tuner {

namespace detail {

/// The first line of a file whose other lines are `rest`.
inline std::string seal_of(std::string_view rest) { return "{\"checksum\":\"" + checksum(rest) + "\",\n"; }

}  // namespace detail

REWARD_TUNER_INLINE void write_sealed_json(const std::filesystem::path& file, const nlohmann::json& object) {
  REWARD_TUNER_CHECK(object.is_object() && !object.empty(), "[Json] '", file.string(),
                     "' expected an object with fields to write, got ", object.type_name());
  std::string rest;
  try {
    rest = object.dump(2).substr(2) + "\n";  // without its first line, a brace
  } catch (const nlohmann::json::exception& problem) {
    detail::fail("[Json] '", file.string(), "' expected UTF-8 text to write, got: ", problem.what());
  }
  write_file_atomically(file, detail::seal_of(rest) + rest);
}

REWARD_TUNER_INLINE nlohmann::json read_sealed_json(const std::filesystem::path& file) {
  const std::string text = read_bytes(file);
  const std::size_t end = text.find('\n');
  const std::string first = end == std::string::npos ? text : text.substr(0, end + 1);
  REWARD_TUNER_CHECK(first.find("\"checksum\"") != std::string::npos, "[Json] '", file.string(),
                     "' is not sealed: written by an earlier version, or damaged: expected a checksum in the first "
                     "line, got none");
  const std::string seal = detail::seal_of(std::string_view(text).substr(first.size()));
  REWARD_TUNER_CHECK(first == seal, "[Json] '", file.string(),
                     "' is damaged: expected the checksum of its text in the first line, ",
                     seal.substr(0, seal.size() - 1), " got ", first.substr(0, seal.size() - 1));
  return parse_json(text, "'" + file.string() + "'");
}

}  // namespace reward_tuner
