// Definitions of atomic_file.hpp.
#pragma once
#include <reward_tuner/files/atomic_file.hpp>

#include <fcntl.h>

#include <atomic>
#include <string>
#include <system_error>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

REWARD_TUNER_INLINE void file_failure(const std::filesystem::path& path, const char* action, int code) {
  const char* hint = "";
  if (code == ENOSPC || code == EDQUOT) hint = " (the disk is full; the old file, if any, is unchanged)";
  if (code == EROFS) hint = " (the file system is read-only)";
  if (code == EACCES || code == EPERM) hint = " (no permission to write there)";
  if (code == EFBIG) hint = " (the file would exceed the size limit of the process or the file system)";
  fail("[File] could not ", action, " '", path.string(), "': ", std::generic_category().message(code), hint);
}

REWARD_TUNER_INLINE FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

REWARD_TUNER_INLINE FileDescriptor::~FileDescriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

/// Removes the temporary file unless it was renamed.
struct TemporaryFile {
  std::filesystem::path path;
  bool keep = false;
  ~TemporaryFile() {
    std::error_code ignored;
    if (!keep) std::filesystem::remove(path, ignored);
  }
};

}  // namespace detail

REWARD_TUNER_INLINE void FileSink::write(const void* bytes, std::size_t count) {
  const auto* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const ::ssize_t written = ::write(descriptor_, next, count);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) detail::file_failure(path_, "write", errno);
    next += written;
    count -= static_cast<std::size_t>(written);
    size_ += static_cast<std::uint64_t>(written);
  }
}

REWARD_TUNER_INLINE void write_file_atomically(const std::filesystem::path& target,
                                               const std::function<void(FileSink&)>& fill) {
  std::error_code code;
  std::filesystem::path path = target;
  if (std::filesystem::is_symlink(path, code)) path = std::filesystem::weakly_canonical(path, code);
  if (code) path = target;
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  REWARD_TUNER_CHECK(path.has_filename(), "[File] expected the path of a file to write, got '", target.string(), "'");
  REWARD_TUNER_CHECK(std::filesystem::is_directory(folder, code), "[File] could not write '", target.string(),
                     "': the folder '", folder.string(), "' does not exist or cannot be read");
  REWARD_TUNER_CHECK(!std::filesystem::is_directory(path, code), "[File] could not write '", target.string(),
                     "': it is a folder, expected a file");

  static std::atomic<std::uint64_t> counter{0};
  detail::TemporaryFile temporary;
  detail::FileDescriptor file;
  do {  // another process may have left the same name behind
    temporary.path =
        folder / (".reward-tuner-" + std::to_string(::getpid()) + "-" + std::to_string(counter++) + ".tmp");
    file = detail::FileDescriptor(::open(temporary.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  } while (!file.is_open() && errno == EEXIST);
  if (!file.is_open()) {
    temporary.keep = true;
    detail::file_failure(target, "create a temporary file next to", errno);
  }

  FileSink sink(file.get(), target);
  fill(sink);
  if (::fsync(file.get()) != 0) detail::file_failure(target, "flush", errno);
  if (const int failed = file.close(); failed != 0) detail::file_failure(target, "close", failed);
  if (::rename(temporary.path.c_str(), path.c_str()) != 0)
    detail::file_failure(target, "rename the temporary file to", errno);
  temporary.keep = true;

  const detail::FileDescriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems cannot flush a folder (EINVAL); the new file is in place by then.
  if (directory.is_open() && ::fsync(directory.get()) != 0 && errno != EINVAL)
    detail::file_failure(folder, "flush the folder", errno);
}

REWARD_TUNER_INLINE void write_file_atomically(const std::filesystem::path& path, std::string_view bytes) {
  write_file_atomically(path, [bytes](FileSink& sink) { sink.write(bytes); });
}

}  // namespace reward_tuner
