// What a scheduler file may say of samplers whose steps lie at noise levels of their own (samplers/dpm_solver.hpp,
// samplers/euler.hpp).
#pragma once
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/option_fields.hpp>

namespace reward_tuner {

/// How sampler steps are spread over the training steps (Lin et al. 2024, Table 2).
enum class TimestepSpacing { kLeading, kTrailing, kLinspace };

/// How the noise levels sigma/alpha of a sampler are spread: those of its timesteps; by the power 1/7 (Karras et al.
/// 2022, Eq. 5); by the logarithm; by the quantiles of Beta(0.6, 0.6) (Lee et al. 2024).
enum class LevelSpacing { kTimesteps, kKarras, kExponential, kBeta };

/// The noise level after the last step: none, or that of training timestep 0.
enum class FinalLevel { kZero, kLowest };

/// The second-order form of DPM-Solver++ (Lu et al. 2022, Eq. 4.6 and appendix B).
enum class SolverType { kMidpoint, kHeun };

/// The settings of a scheduler file that DpmSolver and Euler read. Unset: the file does not say, so that each sampler's
/// own default holds.
struct SolverConfig {
  std::optional<LevelSpacing> levels = {};          ///< use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas
  std::optional<FinalLevel> final_level = {};       ///< final_sigmas_type
  std::optional<int> order = {};                    ///< solver_order
  std::optional<std::string> type = {};             ///< solver_type, as written
  std::optional<std::string> algorithm = {};        ///< algorithm_type, as written
  std::optional<bool> lower_order_final = {};       ///< a last step of order 1 if there are fewer than 15
  std::optional<bool> euler_at_final = {};          ///< a last step of order 1
  std::optional<double> lambda_min_clipped = {};    ///< least log(alpha/sigma) of a timestep
  std::optional<bool> lu_lambdas = {};              ///< use_lu_lambdas
  std::optional<bool> log_linear = {};              ///< interpolation_type
  std::optional<double> lowest = {}, highest = {};  ///< sigma_min, sigma_max

  bool operator==(const SolverConfig&) const = default;
};
REWARD_TUNER_FIELDS(SolverConfig, levels, final_level, order, type, algorithm, lower_order_final, euler_at_final,
                    lambda_min_clipped, lu_lambdas, log_linear, lowest, highest);

/// Errors: a number out of range. lambda_min_clipped may be minus infinity, which clips nothing.
inline void check_options(const SolverConfig& c) {
  REWARD_TUNER_CHECK(!c.order || *c.order >= 1, "[NoiseSchedule] solver.order must be >= 1, got ", *c.order);
  REWARD_TUNER_CHECK(!c.lambda_min_clipped || *c.lambda_min_clipped < std::numeric_limits<double>::infinity(),
                     "[NoiseSchedule] solver.lambda_min_clipped must be a number below infinity, got ",
                     *c.lambda_min_clipped);
  for (const auto& [name, level] : {std::pair("lowest", c.lowest), {"highest", c.highest}})
    REWARD_TUNER_CHECK(!level || (*level >= 0 && std::isfinite(*level)), "[NoiseSchedule] solver.", name,
                       " must be finite and >= 0, got ", *level);
}

}  // namespace reward_tuner
