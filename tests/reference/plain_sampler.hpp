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

/// The solvers, which run at noise levels of their own.
enum class PlainSolver { kNone, kDpm, kSdeDpm, kEuler, kAncestral, kFlow };

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
  PlainSolver solver = PlainSolver::kNone;
  int order = 2;              ///< DPM-Solver++'s
  bool heun = false;          ///< its form
  bool karras = false;        ///< levels by the power 1/7
  bool lowest_final = false;  ///< the last level is that of timestep 0
  double shift = 1;           ///< of a flow's levels
};

/// One step's levels.
struct PlainLevel {
  double timestep = 0;
  double abar = 0, abar_next = 0;
  double ratio = 0, ratio_next = 0, ratio_before = 0;  ///< solvers: sigma/alpha, and that of the step before
  bool second = false;                                 ///< solvers: a step of order 2
  bool keeps_ratio = false;                            ///< Euler's last step hands y = latent/alpha back
  double flow = 0, flow_next = 0;                      ///< the share of noise in a flow's latent
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

/// Levels of the solvers. Timesteps: Lin et al. 2024, Table 2, of T+1 points for DPM-Solver++; the levels between the
/// training's on straight lines, Karras' between the ends of the training (DPM-Solver++) or of the timesteps (Euler).
inline std::vector<PlainLevel> plain_solver_levels(const PlainSampler& s) {
  std::vector<double> ratios;
  for (const double abar : plain_abars()) ratios.push_back(std::sqrt((1 - abar) / abar));
  const int n = s.num_steps;
  const bool dpm = s.solver == PlainSolver::kDpm || s.solver == PlainSolver::kSdeDpm;
  std::vector<double> times, levels;
  for (int k = 0; k < n; ++k) {
    double t = 0;
    if (s.spacing == TimestepSpacing::kLeading) t = dpm ? (n - k) * (1000 / (n + 1)) + 1 : (n - 1 - k) * (1000 / n) + 1;
    if (s.spacing == TimestepSpacing::kTrailing) t = static_cast<double>(std::lrint(1000.0 - k * (1000.0 / n))) - 1;
    if (s.spacing == TimestepSpacing::kLinspace)
      t = dpm ? static_cast<double>(std::lrint((n - k) * (999.0 / n))) : (n - 1 - k) * (999.0 / (n - 1));
    const auto below = static_cast<std::size_t>(t < 999 ? t : 998);
    times.push_back(t);
    levels.push_back(ratios[below] + (t - static_cast<double>(below)) * (ratios[below + 1] - ratios[below]));
  }
  if (s.karras) {
    const double from = dpm ? ratios.back() : levels.front(), to = dpm ? ratios.front() : levels.back();
    for (int k = 0; k < n; ++k) {
      const auto at = static_cast<std::size_t>(k);
      levels[at] =
          std::pow(std::pow(from, 1.0 / 7) + k / (n - 1.0) * (std::pow(to, 1.0 / 7) - std::pow(from, 1.0 / 7)), 7);
      std::size_t i = 0;
      while (i < 998 && ratios[i + 1] <= levels[at] * (1 + 1e-14)) ++i;
      const double t = static_cast<double>(i) + std::log(levels[at] / ratios[i]) / std::log(ratios[i + 1] / ratios[i]);
      times[at] = dpm ? static_cast<double>(std::lrint(t)) : t < 0 ? 0 : t > 999 ? 999 : t;
    }
  }
  levels.push_back(s.lowest_final ? ratios.front() : 0);
  std::vector<PlainLevel> out;
  for (int k = 0; k < n; ++k) {
    const auto at = static_cast<std::size_t>(k);
    const double now = levels[at], next = levels[at + 1];
    const bool last = k == n - 1, low = last && (next == 0 || n < 15);
    out.push_back({.timestep = times[at],
                   .abar = 1 / (1 + now * now),
                   .abar_next = 1 / (1 + next * next),
                   .ratio = now,
                   .ratio_next = next,
                   .ratio_before = k > 0 ? levels[at - 1] : 0,
                   .second = dpm && s.order == 2 && k > 0 && !low,
                   .keeps_ratio = s.solver == PlainSolver::kEuler && last});
  }
  return out;
}

/// Levels of a flow on equal steps, shifted by q <- S*q/(1 + (S-1)*q); the network is told 1000*q.
inline std::vector<PlainLevel> plain_flow_levels(const PlainSampler& s) {
  const auto share = [&](int k) {
    const double q = 1 - static_cast<double>(k) / s.num_steps;
    return s.shift * q / (1 + (s.shift - 1) * q);
  };
  std::vector<PlainLevel> out;
  for (int k = 0; k < s.num_steps; ++k)
    out.push_back(
        {.timestep = 1000 * share(k), .flow = share(k), .flow_next = k + 1 < s.num_steps ? share(k + 1) : 0.0});
  return out;
}

/// What multiplies the start noise: Euler's y(0) = nu(0)*z, or sqrt(1 + nu(0)^2)*z with leading spacing.
inline double plain_start(const PlainSampler& s) {
  if (s.solver != PlainSolver::kEuler && s.solver != PlainSolver::kAncestral) return 1;
  if (s.spacing == TimestepSpacing::kLeading) return 1;
  const double nu = plain_solver_levels(s).front().ratio;
  return nu / std::sqrt(1 + nu * nu);
}

inline std::vector<PlainLevel> plain_levels(const PlainSampler& s) {
  if (s.solver == PlainSolver::kFlow) return plain_flow_levels(s);
  if (s.solver != PlainSolver::kNone) return plain_solver_levels(s);
  const auto abars = plain_abars();
  const int n = s.num_steps;
  std::vector<PlainLevel> out;
  for (int k = 0; k < n; ++k) {
    std::int64_t t = 0;
    if (s.spacing == TimestepSpacing::kLeading) t = (1000 / n) * (n - 1 - k) + 1;
    if (s.spacing == TimestepSpacing::kTrailing) t = std::lrint(1000.0 - k * (1000.0 / n)) - 1;
    if (s.spacing == TimestepSpacing::kLinspace) t = n == 1 ? 0 : std::lrint((n - 1 - k) * (999.0 / (n - 1)));
    out.push_back({.timestep = static_cast<double>(t), .abar = abars[static_cast<std::size_t>(t)]});
  }
  for (int k = 0; k < n; ++k) {
    auto& level = out[static_cast<std::size_t>(k)];
    if (s.ddpm) {
      level.abar_next = k + 1 < n ? out[static_cast<std::size_t>(k + 1)].abar : 1.0;
    } else {
      const auto next = static_cast<std::int64_t>(level.timestep) - 1000 / n;
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
  // the network answers noise minus data at a point of the line between them
  if (sampler.prediction == PredictionType::kFlow) return {x - level.flow * o, x + (1 - level.flow) * o};
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
  if (sampler.solver == PlainSolver::kFlow) return 0;
  const double sigma = std::sqrt((1 - level.abar) / level.abar),
               sigma_next = std::sqrt((1 - level.abar_next) / level.abar_next);
  const double nu = level.ratio, down = level.ratio_next;
  if (sampler.solver == PlainSolver::kDpm || sampler.solver == PlainSolver::kEuler) return 0;
  if (sampler.solver == PlainSolver::kSdeDpm)  // of the variance-preserving latent, with exp(-h) = down/nu
    return std::sqrt(1 - level.abar_next) * std::sqrt(1 - std::pow(down / nu, 2));
  if (sampler.solver == PlainSolver::kAncestral)  // of y, and the latent is alpha'*y
    return std::sqrt(level.abar_next) * std::sqrt(down * down * (nu * nu - down * down) / (nu * nu));
  if (sampler.ddpm && level.timestep == 0) return 0;
  if (sampler.ddpm && sampler.fixed_large) return std::sqrt(1 - level.abar / level.abar_next);
  const double eta = sampler.ddpm ? 1.0 : sampler.eta;
  return std::sqrt(level.abar_next) * eta * sigma_next * std::sqrt(sigma * sigma - sigma_next * sigma_next) / sigma;
}

/// The solvers' step in y = x/alpha (Lu et al. 2022, Alg. 2 and appendix B; Karras et al. 2022, Alg. 1). `before` is
/// the clean sample of the step before.
inline Tensor plain_solver_mean(const PlainSampler& sampler, const PlainLevel& level, const Tensor& x, const Tensor& o,
                                const Tensor& before) {
  const double nu = level.ratio, down = level.ratio_next, alpha_next = std::sqrt(level.abar_next);
  const Tensor clean = plain_clean(sampler, level, x, o), y = x / std::sqrt(level.abar);
  if (sampler.solver == PlainSolver::kEuler || sampler.solver == PlainSolver::kAncestral) {
    double to = down;
    if (sampler.solver == PlainSolver::kAncestral)
      to = std::sqrt(down * down - down * down * (nu * nu - down * down) / (nu * nu));
    const Tensor next = y + (y - clean) / nu * (to - nu);
    return level.keeps_ratio ? next : alpha_next * next;
  }
  const bool sde = sampler.solver == PlainSolver::kSdeDpm;
  if (down == 0) return clean;
  const double h = std::log(nu / down), shrink = sde ? std::exp(-2 * h) : std::exp(-h);
  Tensor next = shrink * y + (1 - shrink) * clean;
  if (level.second) {
    const double r0 = std::log(level.ratio_before / nu) / h;
    const double rate = sde ? 2 * h : h;
    const double m = sampler.heun ? ((shrink - 1) / rate + 1) / r0 : 0.5 * (1 - shrink) / r0;
    next = next + m * (clean - before);
  }
  return alpha_next * next;
}

/// The step without its noise.
inline Tensor plain_mean(const PlainSampler& sampler, const PlainLevel& level, const Tensor& x, const Tensor& o,
                         const Tensor& before = {}) {
  if (sampler.solver == PlainSolver::kFlow) {  // along the velocity, or along the line to the clipped sample
    const bool clips = sampler.clipping.kind != CleanClipping::Kind::kNone;
    return x + (level.flow_next - level.flow) * (clips ? (x - plain_clean(sampler, level, x, o)) / level.flow : o);
  }
  if (sampler.solver != PlainSolver::kNone) return plain_solver_mean(sampler, level, x, o, before);
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
