// Definitions of atomic_file.hpp.
#pragma once
#include <reward_tuner/files/atomic_file.hpp>

#include <fcntl.h>

#include <atomic>
#include <string>
#include <system_error>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/folder.hpp>

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

REWARD_TUNER_INLINE int write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ::ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

REWARD_TUNER_INLINE int flush(int descriptor) {
  while (::fsync(descriptor) != 0)
    if (errno != EINTR) return errno;
  return 0;
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
  constexpr std::size_t kTogether = 1 << 16;
  const std::string_view piece(static_cast<const char*>(bytes), count);
  size_ += count;
  if (small_.size() + count > kTogether) write_now(std::exchange(small_, {}));
  if (count > kTogether) write_now(piece);
  else small_ += piece;
}

REWARD_TUNER_INLINE void FileSink::write_now(std::string_view bytes) {
  if (const int failed = detail::write_all(descriptor_, bytes); failed != 0)
    detail::file_failure(path_, "write", failed);
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
  sink.write_now(sink.small_);
  if (const int failed = detail::flush(file.get()); failed != 0) detail::file_failure(target, "flush", failed);
  if (const int failed = file.close(); failed != 0) detail::file_failure(target, "close", failed);
  if (::rename(temporary.path.c_str(), path.c_str()) != 0)
    detail::file_failure(target, "rename the temporary file to", errno);
  temporary.keep = true;
  flush_folder(folder);  // the new file is in place by then
}

REWARD_TUNER_INLINE void write_file_atomically(const std::filesystem::path& path, std::string_view bytes) {
  write_file_atomically(path, [bytes](FileSink& sink) { sink.write(bytes); });
}

}  // namespace reward_tuner
