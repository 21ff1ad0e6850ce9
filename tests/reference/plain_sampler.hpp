// Sampler formulas written a second time, straight from the papers and in the ratio sigma/alpha, sharing nothing with
// samplers/*.hpp.
#pragma once
#include <ATen/ops/minimum.h>
#include <ATen/ops/sort.h>
#include <torch/types.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include <reward_tuner/core/noise_schedule.hpp>

namespace reward_tuner::reference {

using torch::Tensor;

/// Everything that names a sampler.
struct PlainSampler {
  bool ddpm = false;
  bool fixed_large = false;  ///< DDPM's variance
  double eta = 0;            ///< DDIM's noise share
  int num_steps = 10;
  PredictionType prediction = PredictionType::kEpsilon;
  TimestepSpacing spacing = TimestepSpacing::kLeading;
  CleanClipping clipping = {};
  bool rederive = false;  ///< DDIM: noise direction from the clipped sample
};

/// One step's levels.
struct PlainLevel {
  std::int64_t timestep = 0;
  double abar = 0, abar_next = 0;
};

/// Stable Diffusion's scaled linear betas, multiplied up.
inline std::vector<double> plain_abars() {
  std::vector<double> abar(1000);
  long double product = 1.0L;
  for (int i = 0; i < 1000; ++i) {
    const long double root = std::sqrt(0.00085L) + (std::sqrt(0.012L) - std::sqrt(0.00085L)) * i / 999.0L;
    product *= 1.0L - root * root;
    abar[static_cast<std::size_t>(i)] = static_cast<double>(product);
  }
  return abar;
}

inline std::vector<PlainLevel> plain_levels(const PlainSampler& s) {
  const auto abars = plain_abars();
  const int n = s.num_steps;
  std::vector<PlainLevel> out;
  for (int k = 0; k < n; ++k) {
    std::int64_t t = 0;
    if (s.spacing == TimestepSpacing::kLeading) t = (1000 / n) * (n - 1 - k) + 1;
    if (s.spacing == TimestepSpacing::kTrailing) t = std::lrint(1000.0 - k * (1000.0 / n)) - 1;
    if (s.spacing == TimestepSpacing::kLinspace) t = n == 1 ? 0 : std::lrint((n - 1 - k) * (999.0 / (n - 1)));
    out.push_back({t, abars[static_cast<std::size_t>(t)], 0});
  }
  for (int k = 0; k < n; ++k) {
    auto& level = out[static_cast<std::size_t>(k)];
    if (s.ddpm) {
      level.abar_next = k + 1 < n ? out[static_cast<std::size_t>(k + 1)].abar : 1.0;
    } else {
      const std::int64_t next = level.timestep - 1000 / n;
      level.abar_next = abars[static_cast<std::size_t>(next < 0 ? 0 : next)];
    }
  }
  return out;
}

/// Clean sample and noise the output stands for.
struct PlainPrediction {
  Tensor clean, epsilon;
};

inline PlainPrediction plain_prediction(const PlainSampler& sampler, const PlainLevel& level, const Tensor& x,
                                        const Tensor& o) {
  const double alpha = std::sqrt(level.abar), s = std::sqrt(1 - level.abar);
  if (sampler.prediction == PredictionType::kEpsilon) return {(x - s * o) / alpha, o};
  if (sampler.prediction == PredictionType::kVPrediction) return {alpha * x - s * o, alpha * o + s * x};
  return {o, (x - alpha * o) / s};
}

inline Tensor plain_clip(const Tensor& x, const CleanClipping& c) {
  if (c.kind == CleanClipping::Kind::kNone) return x;
  if (c.kind == CleanClipping::Kind::kRange) return x.clamp_max(c.range).clamp_min(-c.range);
  const Tensor sorted = std::get<0>(at::sort(x.flatten(1).abs(), 1));  // [B,D]
  const double position = c.quantile * static_cast<double>(sorted.size(1) - 1);
  const auto below = static_cast<std::int64_t>(position);
  const Tensor quantile = sorted.select(1, below) + (position - static_cast<double>(below)) *
                                                        (sorted.select(1, below + 1) - sorted.select(1, below));
  const Tensor bound = quantile.clamp_min(1.0).clamp_max(c.max).reshape({-1, 1, 1, 1});  // [B,1,1,1]
  return x.sign() * at::minimum(x.abs(), bound.expand_as(x)) / bound;
}

/// The predicted clean sample as used.
inline Tensor plain_clean(const PlainSampler& sampler, const PlainLevel& level, const Tensor& x, const Tensor& o) {
  return plain_clip(plain_prediction(sampler, level, x, o).clean, sampler.clipping);
}

/// The noise factor of a step.
inline double plain_noise(const PlainSampler& sampler, const PlainLevel& level) {
  const double sigma = std::sqrt((1 - level.abar) / level.abar),
               sigma_next = std::sqrt((1 - level.abar_next) / level.abar_next);
  if (sampler.ddpm && level.timestep == 0) return 0;
  if (sampler.ddpm && sampler.fixed_large) return std::sqrt(1 - level.abar / level.abar_next);
  const double eta = sampler.ddpm ? 1.0 : sampler.eta;
  return std::sqrt(level.abar_next) * eta * sigma_next * std::sqrt(sigma * sigma - sigma_next * sigma_next) / sigma;
}

/// The step without its noise.
inline Tensor plain_mean(const PlainSampler& sampler, const PlainLevel& level, const Tensor& x, const Tensor& o) {
  const double alpha = std::sqrt(level.abar), s = std::sqrt(1 - level.abar), alpha_next = std::sqrt(level.abar_next);
  const Tensor clean = plain_clean(sampler, level, x, o);
  if (sampler.ddpm) {  // Ho et al. 2020, Eq. 7
    const double ratio = level.abar / level.abar_next;
    return alpha_next * (1 - ratio) / (1 - level.abar) * clean +
           std::sqrt(ratio) * (1 - level.abar_next) / (1 - level.abar) * x;
  }
  const double sigma = s / alpha, sigma_next = std::sqrt(1 - level.abar_next) / alpha_next;
  const double u = sampler.eta * sigma_next * std::sqrt(sigma * sigma - sigma_next * sigma_next) / sigma;
  const double kappa = std::sqrt(sigma_next * sigma_next - u * u);
  const Tensor epsilon = sampler.rederive ? (x - alpha * clean) / s : plain_prediction(sampler, level, x, o).epsilon;
  return alpha_next * (clean + kappa * epsilon);
}

}  // namespace reward_tuner::reference
