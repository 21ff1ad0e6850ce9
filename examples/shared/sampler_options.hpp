// The sampler that the settings name.
#pragma once
#include <string>

#include <reward_tuner/samplers/any_sampler.hpp>

#include "tune_settings.hpp"

namespace rt_shared {

inline rt::AnySamplerOptions sampler_options(const TuneSettings& s) {
  const auto name = s.sampler == SamplerName::kDdpm ? rt::Ddpm::kName : rt::Ddim::kName;
  return {.name = std::string(name), .num_steps = s.steps, .guidance = s.guidance, .eta = s.eta};
}

}  // namespace rt_shared
