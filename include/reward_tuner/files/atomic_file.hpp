// Atomic file replacement: a file is written under a temporary name in the same folder, flushed to the disk, and
// renamed, so readers see the old or the new file and never a partial one.
#pragma once
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include <reward_tuner/core/check.hpp>

namespace reward_tuner {
namespace detail {

/// Throws the named error for a failed system call that writes at `path`.
[[noreturn]] void file_failure(const std::filesystem::path& path, const char* action, int code);

/// An open file descriptor that closes itself.
class FileDescriptor {
 public:
  explicit FileDescriptor(int descriptor = -1) : descriptor_(descriptor) {}
  FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();
  int get() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }
  /// Closes now; returns 0 or the error code (a network file system reports a full disk only here).
  int close() { return ::close(std::exchange(descriptor_, -1)) == 0 ? 0 : errno; }

 private:
  int descriptor_;
};

/// Writes all of it, in as many calls as that takes; 0 or the error code.
int write_all(int descriptor, std::string_view bytes);

/// fsync, again where a signal interrupts it; 0 or the error code.
int flush(int descriptor);

}  // namespace detail

/// Where the callback of `write_file_atomically` puts its bytes, in order. Small pieces are written together.
class FileSink {
 public:
  void write(const void* bytes, std::size_t count);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Bytes put in so far.
  std::uint64_t size() const { return size_; }

 private:
  friend void write_file_atomically(const std::filesystem::path&, const std::function<void(FileSink&)>&);
  FileSink(int descriptor, const std::filesystem::path& path) : descriptor_(descriptor), path_(path) {}
  void write_now(std::string_view bytes);
  int descriptor_;
  const std::filesystem::path& path_;
  std::string small_;  // what is not written yet
  std::uint64_t size_ = 0;
};

/// Replaces the file at `target` by what `fill` writes. The bytes go to a temporary file in the same folder, which is
/// flushed to the disk (fsync) and renamed, and then the folder is flushed: after a crash there is the old file or the
/// new one. If anything throws, the old file stays as it was and the temporary file is removed. A symbolic link stays a
/// link; its target is replaced.
/// Errors: missing folder, target is a folder, full disk, read-only place, and whatever `fill` throws.
void write_file_atomically(const std::filesystem::path& target, const std::function<void(FileSink&)>& fill);

/// Replaces the file at `path` by these bytes.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/atomic_file.ipp>
#endif
