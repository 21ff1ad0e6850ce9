// JSON files that tell whether they are damaged: the first of their fields is the checksum of all that follows.
#pragma once
#include <filesystem>

#include <nlohmann/json_fwd.hpp>

namespace reward_tuner {

/// Writes an object with at least one field: its first line is {"checksum":"16 hexadecimal digits", over the other
/// lines. Errors: text that is not UTF-8; the file cannot be written.
void write_sealed_json(const std::filesystem::path& file, const nlohmann::json& object);

/// Reads it, with the field "checksum".
/// Errors: the file cannot be read, has no checksum, or another one than its text.
nlohmann::json read_sealed_json(const std::filesystem::path& file);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/sealed_json.ipp>
#endif
