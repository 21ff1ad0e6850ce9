// Files that are either the old one or the new one, never a half: written beside the target, flushed to the disk, then
// renamed over it.
#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <reward_tuner/core/check.hpp>

namespace reward_tuner {
namespace detail {

/// Throws the named error for a failed system call on `path`.
[[noreturn]] inline void file_failure(const std::filesystem::path& path, const char* action, int code) {
  const char* hint = "";
  if (code == ENOSPC || code == EDQUOT) hint = " (the disk is full; the old file, if any, is unchanged)";
  if (code == EROFS) hint = " (the file system is read-only)";
  if (code == EACCES || code == EPERM) hint = " (no permission to write there)";
  if (code == EFBIG) hint = " (the file would exceed the size limit of the process or the file system)";
  fail("[File] could not ", action, " '", path.string(), "': ", std::generic_category().message(code), hint);
}

/// An open file descriptor that closes itself.
class FileDescriptor {
 public:
  explicit FileDescriptor(int descriptor = -1) : descriptor_(descriptor) {}
  FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~FileDescriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int get() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }
  /// Closes now; returns 0 or the error code (a network file system reports a full disk only here).
  int close() { return ::close(std::exchange(descriptor_, -1)) == 0 ? 0 : errno; }

 private:
  int descriptor_;
};

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

/// Where the callback of `write_file_atomically` puts its bytes, in order.
class FileSink {
 public:
  void write(const void* bytes, std::size_t count) {
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
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Bytes written so far.
  std::uint64_t size() const { return size_; }

 private:
  friend void write_file_atomically(const std::filesystem::path&, const std::function<void(FileSink&)>&);
  FileSink(int descriptor, const std::filesystem::path& path) : descriptor_(descriptor), path_(path) {}
  int descriptor_;
  const std::filesystem::path& path_;
  std::uint64_t size_ = 0;
};

/// Replaces the file at `target` by what `fill` writes. The bytes go to a temporary file in the same folder, which is
/// flushed to the disk (fsync) and renamed, and then the folder is flushed: after a crash there is the old file or the
/// new one. If anything throws, the old file stays as it was and the temporary file is removed. A symbolic link stays a
/// link; its target is replaced.
/// Errors: missing folder, target is a folder, full disk, read-only place, and whatever `fill` throws.
inline void write_file_atomically(const std::filesystem::path& target, const std::function<void(FileSink&)>& fill) {
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
    detail::file_failure(target, "create a temporary file beside", errno);
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

/// Replaces the file at `path` by these bytes.
inline void write_file_atomically(const std::filesystem::path& path, std::string_view bytes) {
  write_file_atomically(path, [bytes](FileSink& sink) { sink.write(bytes); });
}

}  // namespace reward_tuner
