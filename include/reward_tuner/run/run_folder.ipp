// Definitions of run_folder.hpp.
#pragma once
#include <reward_tuner/run/run_folder.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/folder.hpp>
#include <reward_tuner/files/output_path.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE void RunFolder::check_new(const std::filesystem::path& path) {
  REWARD_TUNER_CHECK(!path.empty(), "[RunFolder] expected the path of a run folder, got an empty one");
  check_output_folder(path);
  std::error_code code;
  REWARD_TUNER_CHECK(!std::filesystem::exists(path, code) || names_in(path).empty(), "[RunFolder] '", path.string(),
                     "' holds a run already: resume it, name another folder, or remove it first");
}

REWARD_TUNER_INLINE RunFolder RunFolder::create(const std::filesystem::path& path) {
  check_new(path);
  make_folder(path);
  return RunFolder(path);
}

REWARD_TUNER_INLINE RunFolder RunFolder::reopen(const std::filesystem::path& path) {
  std::error_code code;
  REWARD_TUNER_CHECK(std::filesystem::is_directory(path, code),
                     "[RunFolder] expected a run to resume, got no folder at '", path.string(), "'");
  return RunFolder(path);
}

REWARD_TUNER_INLINE RunFolder::RunFolder(std::filesystem::path path)
    : path_(std::move(path)), lock_(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (!lock_.is_open()) detail::file_failure(path_, "open the run folder", errno);
  if (::access(path_.c_str(), W_OK | X_OK) != 0) detail::file_failure(path_, "write into the run folder", errno);
  // The lock ends with the process, however it ends. File systems without locks are let through.
  REWARD_TUNER_CHECK(::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK, "[RunFolder] '",
                     path_.string(), "' is in use by another process");
}

}  // namespace reward_tuner
