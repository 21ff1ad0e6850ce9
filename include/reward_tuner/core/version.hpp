// The version of the library, for reports and files; CMakeLists.txt names the same one.
#pragma once
#include <string_view>

namespace reward_tuner {

/// Major.minor.patch.
inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace reward_tuner
