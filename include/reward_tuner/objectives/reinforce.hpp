// The policy gradient: log-probabilities of sampled steps weighted by advantages.
#pragma once
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/round_options.hpp>
#include <reward_tuner/objectives/policy_rows.hpp>

namespace reward_tuner {

/// The form of the policy gradient, and how its rounds are sampled and trained.
struct ReinforceOptions {
  /// weigh by the ratio, so that several optimizer steps on one round stay unbiased; at the first step both are equal
  bool importance_weighted = true;
  RoundOptions round = {};  ///< how a round is sampled and trained
};
REWARD_TUNER_FIELDS(ReinforceOptions, importance_weighted, round);

/// grad J = E sum_t ratio_t * A * grad log p_theta(x_{t-1} | x_t, c), ratio = p_theta / p_old: L = -A * ratio, or L =
/// -A * log p without the ratio (B2-DiffuRL paper Eq. 4; Fan & Lee 2023, SFT-PG; Black et al. 2024, Eq. 3 and 5).
/// Gradient: to the log-probabilities.
class Reinforce {
 public:
  using Role = ObjectiveRole;
  using Options = ReinforceOptions;
  static constexpr std::string_view kName = "reinforce";
  static constexpr Surrogate kSurrogate = Surrogate::kLogProb;

  explicit Reinforce(ReinforceOptions options = {}) : options_(options) { check_options(options_.round); }
  const ReinforceOptions& options() const { return options_; }

  /// Rows [n] -> losses [n].
  Tensor losses(const PolicyRows& rows) const {
    return -rows.advantages * (options_.importance_weighted ? rows.ratios() : rows.log_probs);
  }

 private:
  ReinforceOptions options_;
};
static_assert(LogProbObjective<Reinforce>);

}  // namespace reward_tuner
