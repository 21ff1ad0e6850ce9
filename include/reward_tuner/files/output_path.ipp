// Definitions of output_path.hpp.
#pragma once
#include <reward_tuner/files/output_path.hpp>

#include <unistd.h>

#include <cerrno>
#include <system_error>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/atomic_file.hpp>
#include <reward_tuner/files/folder.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE void check_output_folder(const std::filesystem::path& folder) {
  REWARD_TUNER_CHECK(!folder.empty(), "[File] expected the path of a folder to write, got an empty one");
  std::error_code code;
  std::filesystem::path there = std::filesystem::absolute(folder).lexically_normal();  // or what is there above it
  while (!std::filesystem::exists(there, code) && there.has_parent_path() && there != there.parent_path())
    there = there.parent_path();
  REWARD_TUNER_CHECK(std::filesystem::is_directory(there, code), "[File] expected a folder to write at '",
                     folder.string(), "', got something else at '", there.string(), "'");
  if (::access(there.c_str(), W_OK | X_OK) != 0) detail::file_failure(folder, "write into the folder", errno);
}

REWARD_TUNER_INLINE void prepare_output_folder(const std::filesystem::path& folder) {
  check_output_folder(folder);
  make_folder(folder);
}

REWARD_TUNER_INLINE void prepare_output_file(const std::filesystem::path& file) {
  REWARD_TUNER_CHECK(file.has_filename() && !std::filesystem::is_directory(file),
                     "[File] expected the path of a file to write, got the folder '", file.string(), "'");
  prepare_output_folder(file.has_parent_path() ? file.parent_path() : std::filesystem::path("."));
}

}  // namespace reward_tuner
