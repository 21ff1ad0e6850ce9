// The sampler that the settings name.
#pragma once
#include <string>
#include <string_view>

#include <reward_tuner/samplers/any_sampler.hpp>

#include "tune_settings.hpp"

namespace rt_shared {

inline std::string_view sampler_name(SamplerName sampler) {
  switch (sampler) {
    case SamplerName::kDdim:
      return rt::Ddim::kName;
    case SamplerName::kDdpm:
      return rt::Ddpm::kName;
    case SamplerName::kDpm:
      return rt::DpmSolver::kName;
    case SamplerName::kSdeDpm:
      return rt::AnySampler::kSdeName;
    case SamplerName::kEuler:
      return rt::Euler::kName;
    case SamplerName::kEulerAncestral:
      return rt::EulerAncestral::kName;
  }
  rt::detail::fail("[rt-tune] unknown sampler ", static_cast<int>(sampler));
}

inline rt::AnySamplerOptions sampler_options(const TuneSettings& s) {
  return {.name = std::string(sampler_name(s.sampler)),
          .num_steps = s.steps,
          .guidance = s.guidance,
          .eta = s.eta,
          .spacing = s.spacing,
          .levels = s.noise_levels,
          .order = s.solver_order,
          .type = s.solver_type};
}

}  // namespace rt_shared
