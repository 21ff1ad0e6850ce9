// The bytes of a file, all of them or an error: the streams of the C++ library end silently where a disk fails.
#pragma once
#include <cstddef>
#include <filesystem>
#include <string>

namespace reward_tuner {

/// The file's bytes, or its first `most`. Errors, by file and reason: it cannot be opened or read.
std::string read_bytes(const std::filesystem::path& file, std::size_t most = std::string::npos);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/file_bytes.ipp>
#endif
