// Definitions of file_bytes.hpp.
#pragma once
#include <reward_tuner/files/file_bytes.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/atomic_file.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE std::string read_bytes(const std::filesystem::path& file, std::size_t most) {
  constexpr std::size_t kPiece = 1 << 18;
  const detail::FileDescriptor open(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  REWARD_TUNER_CHECK(open.is_open(), "[File] could not open '", file.string(),
                     "': ", std::generic_category().message(errno));
  std::string bytes;
  for (std::size_t size = 0; size < most;) {
    bytes.resize(size + std::min(kPiece, most - size));
    const ::ssize_t got = ::read(open.get(), bytes.data() + size, bytes.size() - size);
    REWARD_TUNER_CHECK(got >= 0 || errno == EINTR, "[File] could not read '", file.string(),
                       "': ", std::generic_category().message(errno));
    if (got > 0) size += static_cast<std::size_t>(got);
    bytes.resize(size);
    if (got == 0) break;
  }
  return bytes;
}

}  // namespace reward_tuner
