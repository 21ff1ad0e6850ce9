// libc's functions, as disk_faults.hpp has them.
#include <tests/robustness/disk_faults.hpp>

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <string>

namespace reward_tuner::reference {

DiskRule disk_rule = nullptr;

namespace {

/// The function that would have been called: a pointer like `own`.
template <class Function>
Function* next(Function*, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

std::string path_of(int file) {
  std::array<char, 4096> path{};
  const std::string link = "/proc/self/fd/" + std::to_string(file);
  return ::readlink(link.c_str(), path.data(), path.size() - 1) > 0 ? path.data() : "";
}

std::string path_at(int folder, const char* name) {
  return folder == AT_FDCWD || name[0] == '/' ? name : path_of(folder) + "/" + name;
}

DiskFault asked(DiskCall call, const std::string& path, bool creates = false, std::size_t bytes = 0) {
  const int before = errno;
  const DiskFault fault = disk_rule(call, path.c_str(), creates, bytes);
  errno = fault.error != 0 ? fault.error : before;
  return fault;
}

/// Whether the call fails; sets errno.
bool fails(DiskCall call, const char* path, bool creates = false) {
  return disk_rule != nullptr && path != nullptr && asked(call, path, creates).error != 0;
}
bool fails(DiskCall call, int file) { return disk_rule != nullptr && asked(call, path_of(file)).error != 0; }

int mode_of(int flags, va_list rest) { return (flags & O_CREAT) != 0 ? va_arg(rest, int) : 0; }

}  // namespace
}  // namespace reward_tuner::reference

using reward_tuner::reference::disk_rule;
using reward_tuner::reference::DiskCall;
using reward_tuner::reference::fails;
using reward_tuner::reference::next;

// NOLINTBEGIN: libc's names and signatures
extern "C" {

#define REWARD_TUNER_OPEN(NAME)                                                                 \
  int NAME(const char* path, int flags, ...) {                                                  \
    static const auto real = next(&NAME, #NAME);                                                \
    va_list rest;                                                                               \
    va_start(rest, flags);                                                                      \
    const int mode = reward_tuner::reference::mode_of(flags, rest);                             \
    va_end(rest);                                                                               \
    return fails(DiskCall::kOpen, path, (flags & O_CREAT) != 0) ? -1 : real(path, flags, mode); \
  }
REWARD_TUNER_OPEN(open)
REWARD_TUNER_OPEN(open64)
#undef REWARD_TUNER_OPEN

int openat(int folder, const char* name, int flags, ...) {
  static const auto real = next(&openat, "openat");
  va_list rest;
  va_start(rest, flags);
  const int mode = reward_tuner::reference::mode_of(flags, rest);
  va_end(rest);
  if (disk_rule != nullptr &&
      fails(DiskCall::kOpen, reward_tuner::reference::path_at(folder, name).c_str(), (flags & O_CREAT) != 0))
    return -1;
  return real(folder, name, flags, mode);
}

#define REWARD_TUNER_FOPEN(NAME)                                                      \
  FILE* NAME(const char* path, const char* mode) {                                    \
    static const auto real = next(&NAME, #NAME);                                      \
    return fails(DiskCall::kOpen, path, mode[0] != 'r') ? nullptr : real(path, mode); \
  }
REWARD_TUNER_FOPEN(fopen)
REWARD_TUNER_FOPEN(fopen64)
#undef REWARD_TUNER_FOPEN

DIR* opendir(const char* path) {
  static const auto real = next(&opendir, "opendir");
  return fails(DiskCall::kOpen, path) ? nullptr : real(path);
}

ssize_t read(int file, void* into, size_t count) {
  static const auto real = next(&read, "read");
  if (disk_rule == nullptr) return real(file, into, count);
  const auto fault =
      reward_tuner::reference::asked(DiskCall::kRead, reward_tuner::reference::path_of(file), false, count);
  return fault.error != 0 ? -1 : real(file, into, std::min(count, fault.at_most));
}

#define REWARD_TUNER_PREAD(NAME, OFFSET)                                                                       \
  ssize_t NAME(int file, void* into, size_t count, OFFSET offset) {                                            \
    static const auto real = next(&NAME, #NAME);                                                               \
    if (disk_rule == nullptr) return real(file, into, count, offset);                                          \
    const auto fault =                                                                                         \
        reward_tuner::reference::asked(DiskCall::kRead, reward_tuner::reference::path_of(file), false, count); \
    return fault.error != 0 ? -1 : real(file, into, std::min(count, fault.at_most), offset);                   \
  }
REWARD_TUNER_PREAD(pread, off_t)
REWARD_TUNER_PREAD(pread64, off64_t)
#undef REWARD_TUNER_PREAD

#define REWARD_TUNER_READDIR(NAME, ENTRY)                                    \
  ENTRY* NAME(DIR* folder) {                                                 \
    static const auto real = next(&NAME, #NAME);                             \
    return fails(DiskCall::kRead, ::dirfd(folder)) ? nullptr : real(folder); \
  }
REWARD_TUNER_READDIR(readdir, dirent)
REWARD_TUNER_READDIR(readdir64, dirent64)
#undef REWARD_TUNER_READDIR

#define REWARD_TUNER_MMAP(NAME, OFFSET)                                                                              \
  void* NAME(void* at, size_t bytes, int protection, int flags, int file, OFFSET offset) noexcept {                  \
    static const auto real = next(&NAME, #NAME);                                                                     \
    return file >= 0 && fails(DiskCall::kMap, file) ? MAP_FAILED : real(at, bytes, protection, flags, file, offset); \
  }
REWARD_TUNER_MMAP(mmap, off_t)
REWARD_TUNER_MMAP(mmap64, off64_t)
#undef REWARD_TUNER_MMAP

ssize_t write(int file, const void* from, size_t count) {
  static const auto real = next(&write, "write");
  if (disk_rule == nullptr) return real(file, from, count);
  const auto fault =
      reward_tuner::reference::asked(DiskCall::kWrite, reward_tuner::reference::path_of(file), false, count);
  return fault.error != 0 ? -1 : real(file, from, std::min(count, fault.at_most));
}
ssize_t writev(int file, const iovec* parts, int count) {
  static const auto real = next(&writev, "writev");
  if (disk_rule == nullptr) return real(file, parts, count);
  size_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += parts[i].iov_len;
  const auto fault =
      reward_tuner::reference::asked(DiskCall::kWrite, reward_tuner::reference::path_of(file), false, bytes);
  if (fault.error != 0) return -1;
  if (fault.at_most >= bytes) return real(file, parts, count);
  static const auto plain = next(&write, "write");
  return plain(file, parts[0].iov_base, std::min(parts[0].iov_len, fault.at_most));
}
int fsync(int file) {
  static const auto real = next(&fsync, "fsync");
  if (disk_rule != nullptr) return fails(DiskCall::kFsync, file) ? -1 : 0;
  return real(file);
}
int rename(const char* from, const char* to) noexcept {
  static const auto real = next(&rename, "rename");
  return fails(DiskCall::kRename, from) ? -1 : real(from, to);
}
int mkdir(const char* path, mode_t mode) noexcept {
  static const auto real = next(&mkdir, "mkdir");
  return fails(DiskCall::kMakeFolder, path, true) ? -1 : real(path, mode);
}
int close(int file) {
  static const auto real = next(&close, "close");
  const bool failed = fails(DiskCall::kClose, file);
  const int error = errno, result = real(file);
  if (failed) errno = error;
  return failed ? -1 : result;
}
int fclose(FILE* file) {
  static const auto real = next(&fclose, "fclose");
  const bool failed = fails(DiskCall::kClose, ::fileno(file));
  const int error = errno, result = real(file);
  if (failed) errno = error;
  return failed ? EOF : result;
}
int remove(const char* path) noexcept {
  static const auto real = next(&remove, "remove");
  return fails(DiskCall::kRemove, path) ? -1 : real(path);
}
int unlink(const char* path) noexcept {
  static const auto real = next(&unlink, "unlink");
  return fails(DiskCall::kRemove, path) ? -1 : real(path);
}
int unlinkat(int folder, const char* name, int flags) noexcept {
  static const auto real = next(&unlinkat, "unlinkat");
  if (disk_rule != nullptr && fails(DiskCall::kRemove, reward_tuner::reference::path_at(folder, name).c_str()))
    return -1;
  return real(folder, name, flags);
}
}
// NOLINTEND
