// What the library's samplers ask of the options that all of them have.
#pragma once
#include <cmath>
#include <string_view>
#include <type_traits>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/noise_schedule.hpp>

namespace reward_tuner::detail {

/// Errors, as those of `sampler`: fewer steps than one, a guidance scale that is negative or not finite, a clipping out
/// of range.
template <class Options>
void check_common_options(std::string_view sampler, const Options& options) {
  REWARD_TUNER_CHECK(options.num_steps >= 1, "[", sampler, "] num_steps must be >= 1, got ", options.num_steps);
  REWARD_TUNER_CHECK(std::isfinite(options.guidance) && options.guidance >= 0, "[", sampler,
                     "] guidance must be finite and >= 0, got ", options.guidance);
  if constexpr (std::is_same_v<decltype(options.clipping), CleanClipping>) check_clipping(sampler, options.clipping);
  else if (options.clipping) check_clipping(sampler, *options.clipping);
}

}  // namespace reward_tuner::detail
