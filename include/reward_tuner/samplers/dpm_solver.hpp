// DPM-Solver++ of order 1 or 2, without noise or with: good samples in 10 to 25 steps.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/samplers/common_checks.hpp>
#include <reward_tuner/samplers/solver_levels.hpp>

namespace reward_tuner {

/// Steps, guidance, form and noise levels of DpmSolver; what is unset is the model's own.
struct DpmSolverOptions {
  int num_steps = 25;     ///< T, steps of a rollout (DRTune-paper 4.3: 25)
  double guidance = 7.5;  ///< guidance scale; 1 and less: the condition alone, as diffusers has it
  /// noise in every step; unset: the model's own, or none; with objectives on log-probabilities yes
  std::optional<bool> noise = std::nullopt;
  /// 1 or 2; unset: the model's own, or 2; with objectives on log-probabilities 1, where a step has a density
  std::optional<int> order = std::nullopt;
  std::optional<SolverType> type = std::nullopt;          ///< form of order 2; unset: the model's own, or midpoint
  std::optional<TimestepSpacing> spacing = std::nullopt;  ///< spread of the steps; unset: the model's own, or linspace
  std::optional<LevelSpacing> levels =
      std::nullopt;  ///< spread of the noise levels; unset: the model's own, or timesteps
  std::optional<FinalLevel> final_level = std::nullopt;  ///< after the last step; unset: the model's own, or zero
  /// a last step of order 1 if there are fewer than 15; unset: the model's own, or true
  std::optional<bool> lower_order_final = std::nullopt;
  std::optional<bool> euler_at_final = std::nullopt;  ///< a last step of order 1; unset: the model's own, or false
  /// treatment of the predicted clean sample; unset: the model's own if that is dynamic thresholding, else none
  std::optional<CleanClipping> clipping = std::nullopt;
};
REWARD_TUNER_FIELDS(DpmSolverOptions, num_steps, guidance, noise, order, type, spacing, levels, final_level,
                    lower_order_final, euler_at_final, clipping);

/// With nu = sigma/alpha, h = log(nu/nu') and h_prev that of the step before:
///   latent(k+1) = alpha'*x0 + sigma'*eps + alpha'*m*(x0 - x0 of step k-1), or with noise
///   latent(k+1) = alpha'*x0 + sigma'*nu'/nu*eps + alpha'*m*(x0 - x0 of step k-1) + sigma'*sqrt(1 - (nu'/nu)^2)*z,
/// where p = 1 - nu'/nu and m = p*h/(2*h_prev) (midpoint) or (h - p)/h_prev (heun); with noise p = 1 - (nu'/nu)^2 and
/// heun's m = (h - p/2)/h_prev   (Lu et al. 2022, Alg. 2 and appendix B, as diffusers has them). m = 0 in the first
/// step and in a last step of order 1. At order 1 the sampler is DDIM with eta 0, or 1, at its own noise levels.
/// Errors: settings of the model's file that are not built, unless an option stands in their place.
class DpmSolver {
 public:
  using Role = SamplerRole;
  using Options = DpmSolverOptions;
  static constexpr std::string_view kName = "dpm++";
  static constexpr bool kStochastic = true;  ///< with noise, at order 1

  explicit DpmSolver(DpmSolverOptions options = {}) : options_(options) {
    detail::check_common_options("DpmSolver", options_);
    check_order(options_.order.value_or(2));
  }

  double guidance() const { return options_.guidance; }
  /// The options with noise in every step and order 1, unless they were set.
  static DpmSolverOptions stochastic(DpmSolverOptions options) {
    if (!options.noise) options.noise = true;
    if (!options.order) options.order = 1;
    return options;
  }
  const DpmSolverOptions& options() const { return options_; }

  SamplerSchedule schedule(const NoiseSchedule& noise) const {
    const auto& config = noise.config();
    const auto& own = config.solver;
    const SolverLevels at = levels(noise);
    check_levels(at, noise, "DpmSolver");
    const bool sde = options_.noise ? *options_.noise : algorithm(own) == "sde-dpmsolver++";
    const bool heun = type(own) == SolverType::kHeun;
    const std::size_t first_order =
        last_of_first_order(own, at.ratios.back() == 0) ? at.timesteps.size() - 1 : at.timesteps.size();
    const bool second = check_order(options_.order.value_or(own.order.value_or(2))) == 2;
    SamplerSchedule out{.steps = {}, .clipping = clipping(config), .rederive_epsilon = true};
    for (std::size_t k = 0; k < at.timesteps.size(); ++k) {
      const Level next = Level::of_ratio(at.ratios[k + 1]);
      SamplerStep step = make_step(at.timesteps[k], Level::of_ratio(at.ratios[k]), next, config.prediction);
      const double shrink = at.ratios[k + 1] / at.ratios[k];  // exp(-h)
      step.direction = next.sigma * (sde ? shrink : 1.0);
      step.noise = sde ? next.sigma * std::sqrt(1 - shrink * shrink) : 0.0;
      if (second && k > 0 && k < first_order) {
        const double h = -std::log(shrink), before = std::log(at.ratios[k - 1] / at.ratios[k]);
        const double p = 1 - (sde ? shrink * shrink : shrink);
        step.history = step.alpha_next * (heun ? h - (sde ? 0.5 : 1.0) * p : 0.5 * p * h) / before;
      }
      out.steps.push_back(step);
    }
    return out;
  }

 private:
  static constexpr int kFewSteps = 15;  // lower_order_final's, as diffusers has it

  static int check_order(int order) {
    REWARD_TUNER_CHECK(order == 1 || order == 2, "[DpmSolver] order must be 1 or 2, got ", order);
    return order;
  }
  SolverType type(const SolverConfig& own) const {
    if (options_.type) return *options_.type;
    const std::string word = own.type.value_or("midpoint");
    if (word == "heun") return SolverType::kHeun;
    // diffusers reads the forms of other solvers as midpoint
    REWARD_TUNER_CHECK(word == "midpoint" || word == "logrho" || word == "bh1" || word == "bh2",
                       "[DpmSolver] the model's solver_type expected midpoint or heun, got ", word);
    return SolverType::kMidpoint;
  }
  std::string algorithm(const SolverConfig& own) const {
    const std::string word = own.algorithm.value_or("dpmsolver++");
    REWARD_TUNER_CHECK(
        word == "dpmsolver++" || word == "sde-dpmsolver++" || word == "deis",  // diffusers reads deis as dpmsolver++
        "[DpmSolver] the model's algorithm_type expected dpmsolver++ or sde-dpmsolver++, got ", word);
    return word;
  }
  bool last_of_first_order(const SolverConfig& own, bool ends_clean) const {
    const bool few = options_.num_steps < kFewSteps;
    return ends_clean || options_.euler_at_final.value_or(own.euler_at_final.value_or(false)) ||
           (few && options_.lower_order_final.value_or(own.lower_order_final.value_or(true)));
  }
  CleanClipping clipping(const NoiseScheduleConfig& config) const {
    if (options_.clipping) return *options_.clipping;
    return config.clipping.kind == CleanClipping::Kind::kDynamic ? config.clipping : CleanClipping{};
  }

  /// T of T+1 points over the training steps, or levels between the ends of the training.
  SolverLevels levels(const NoiseSchedule& noise) const {
    const auto& config = noise.config();
    const auto& own = config.solver;
    const TrainingRatios table(noise);
    const int T = options_.num_steps;
    REWARD_TUNER_CHECK(
        options_.levels || !own.lu_lambdas.value_or(false),
        "[DpmSolver] the model's use_lu_lambdas expected false, got true: its spread of the noise levels "
        "is not built, choose levels");
    const auto spread = options_.levels.value_or(own.levels.value_or(LevelSpacing::kTimesteps));
    SolverLevels out;
    if (spread == LevelSpacing::kTimesteps) {
      out.timesteps = timesteps(noise, table);
      for (const double t : out.timesteps) out.ratios.push_back(table.at(t));
    } else {
      out.ratios = spaced_ratios(spread, table.highest(), table.lowest(), T);
      const bool rounds = spread == LevelSpacing::kKarras && config.beta_schedule != BetaSchedule::kSquaredCosine;
      for (const double ratio : out.ratios)
        out.timesteps.push_back(rounds ? std::nearbyint(table.timestep(ratio)) : table.timestep_below(ratio));
    }
    const auto end = options_.final_level.value_or(own.final_level.value_or(FinalLevel::kZero));
    out.ratios.push_back(end == FinalLevel::kZero ? 0.0 : table.lowest());
    return out;
  }

  std::vector<double> timesteps(const NoiseSchedule& noise, const TrainingRatios& table) const {
    const auto& config = noise.config();
    const auto spacing = options_.spacing.value_or(config.spacing.value_or(TimestepSpacing::kLinspace));
    const int T = options_.num_steps;
    REWARD_TUNER_CHECK(T <= table.size(), "[Sampler] num_steps must be in 1..", table.size(),
                       " (the model's training steps), got ", T);
    // timesteps 0..used-1 have enough signal
    std::int64_t used = table.size();
    const double least = config.solver.lambda_min_clipped.value_or(-std::numeric_limits<double>::infinity());
    while (used > 0 && -std::log(table.at(static_cast<double>(used - 1))) < least) --used;
    REWARD_TUNER_CHECK(used == table.size() || (used > T && spacing != TimestepSpacing::kTrailing),
                       "[DpmSolver] the model's lambda_min_clipped expected to leave more than ", T,
                       " timesteps, with leading or linspace spacing, got ", least, ", which leaves ", used);
    std::vector<double> out;
    for (int k = 0; k < T; ++k) {
      const auto from_clean = static_cast<double>(T - k);
      double t = 0;
      switch (spacing) {
        case TimestepSpacing::kLeading:
          t = from_clean * static_cast<double>(used / (T + 1)) + static_cast<double>(config.steps_offset);
          break;
        case TimestepSpacing::kTrailing:
          t = std::nearbyint(static_cast<double>(used) - k * (static_cast<double>(used) / T)) - 1;
          break;
        case TimestepSpacing::kLinspace:
          t = std::nearbyint(from_clean * (static_cast<double>(used - 1) / T));
          break;
      }
      REWARD_TUNER_CHECK(t >= 0 && t < static_cast<double>(table.size()), "[Sampler] timestep ", t,
                         " lies outside the model's 0..", table.size() - 1, "; lower num_steps or steps_offset (",
                         config.steps_offset, ")");
      out.push_back(t);
    }
    return out;
  }

  DpmSolverOptions options_;
};
static_assert(SamplerPolicy<DpmSolver>);

}  // namespace reward_tuner
