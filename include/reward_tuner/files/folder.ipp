// Definitions of folder.hpp.
#pragma once
#include <reward_tuner/files/folder.hpp>

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/atomic_file.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE void make_folder(const std::filesystem::path& folder) {
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (code) detail::file_failure(folder, "create the folder", code.value());
}

REWARD_TUNER_INLINE std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code code;
  std::filesystem::directory_iterator entry(folder, code);
  for (; !code && entry != std::filesystem::directory_iterator(); entry.increment(code))
    names.push_back(entry->path().filename().string());
  if (code == std::errc::no_such_file_or_directory || code == std::errc::not_a_directory) return {};
  REWARD_TUNER_CHECK(!code, "[File] could not read the folder '", folder.string(), "': ", code.message());
  std::sort(names.begin(), names.end());
  return names;
}

REWARD_TUNER_INLINE void flush_folder(const std::filesystem::path& folder) {
  const detail::FileDescriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const int failed = directory.is_open() ? detail::flush(directory.get()) : errno;
  if (failed != 0 && failed != (directory.is_open() ? EINVAL : EACCES))
    detail::file_failure(folder, "flush the folder", failed);
}

}  // namespace reward_tuner
