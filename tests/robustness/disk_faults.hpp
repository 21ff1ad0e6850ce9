// The system calls on files of this process, those of the C++ library's streams among them, asked one by one whether
// they fail: the functions of disk_faults.cpp stand before libc's in the test program.
#pragma once
#include <cstddef>
#include <cstdint>

namespace reward_tuner::reference {

/// Kinds of calls. Names of the run folder's files and of its inputs go through all of them.
enum class DiskCall {
  kOpen,        ///< open, openat, fopen, opendir
  kRead,        ///< read, pread, readdir
  kMap,         ///< mmap of a file
  kWrite,       ///< write, writev
  kFsync,       ///< fsync, which waits for no disk while a rule is set
  kRename,      ///< rename
  kMakeFolder,  ///< mkdir
  kClose,       ///< close, fclose; the file is closed in any case
  kRemove,      ///< remove, unlink, unlinkat
};

/// What becomes of a call.
struct DiskFault {
  int error = 0;                   ///< errno of the failed call; 0: it goes through
  std::size_t at_most = SIZE_MAX;  ///< bytes that are read or written at most
};

/// Decides on a call on the file or folder at `path`. `creates`: an open that makes a file. `bytes`: to read or write.
using DiskRule = DiskFault (*)(DiskCall call, const char* path, bool creates, std::size_t bytes);

/// Asked at every call if set. A process that sets it has one thread.
extern DiskRule disk_rule;

}  // namespace reward_tuner::reference
