// What the library's samplers ask of the options that all of them have.
#pragma once
#include <cmath>
#include <string_view>

#include <reward_tuner/core/check.hpp>

namespace reward_tuner::detail {

/// Errors, as those of `sampler`: fewer steps than one, a guidance scale that is negative or not finite.
template <class Options>
void check_steps_and_guidance(std::string_view sampler, const Options& options) {
  REWARD_TUNER_CHECK(options.num_steps >= 1, "[", sampler, "] num_steps must be >= 1, got ", options.num_steps);
  REWARD_TUNER_CHECK(std::isfinite(options.guidance) && options.guidance >= 0, "[", sampler,
                     "] guidance must be finite and >= 0, got ", options.guidance);
}

}  // namespace reward_tuner::detail
