// Definitions of config_limits.hpp.
#pragma once
#include <reward_tuner/models/config_limits.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

REWARD_TUNER_INLINE void check_at_most(const std::string& where, const char* key,
                                       std::initializer_list<std::int64_t> values, std::int64_t most) {
  for (const auto value : values)
    REWARD_TUNER_CHECK(value <= most, "[", where, "] expected at most ", most, " in ", key, ", got ", value);
}

REWARD_TUNER_INLINE void check_at_most(const std::string& where, const char* key,
                                       const std::vector<std::int64_t>& values, std::int64_t most) {
  for (const auto value : values) check_at_most(where, key, {value}, most);
}

}  // namespace detail

}  // namespace reward_tuner
