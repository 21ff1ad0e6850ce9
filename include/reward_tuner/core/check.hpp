// The library's only error type and the check that throws it: every message names the expected and the actual value.
#pragma once
#include <sstream>
#include <stdexcept>

namespace reward_tuner {

/// Every error that this library throws on purpose. `what()` is one sentence with the expected and the actual value.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw Error(message.str());
}

}  // namespace detail
}  // namespace reward_tuner

/// Throws reward_tuner::Error with the streamed parts as its message unless `condition` holds.
/// Example: REWARD_TUNER_CHECK(eta <= 1, "[Ddim] eta must be in [0, 1], got ", eta);
#define REWARD_TUNER_CHECK(condition, ...)       \
  do {                                           \
    if (!(condition)) [[unlikely]]               \
      ::reward_tuner::detail::fail(__VA_ARGS__); \
  } while (false)
