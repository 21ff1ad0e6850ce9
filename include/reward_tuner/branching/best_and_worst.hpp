// B2-DiffuRL's branch-based sampling: of the branches of a root the best and the worst are trained, if they are good
// and bad enough.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string_view>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>

namespace reward_tuner {

/// How many branches a root of BestAndWorst has, and which of them are good or bad enough.
struct BestAndWorstOptions {
  int num_branches = 3;  ///< Br, copies of a rollout at the fork, >= 2 (B2-paper, Table 6: 3; its code's script: 5)
  /// advantage from which on a branch is trained, in deviations, >= 0 (B2-paper, Table 6: 0.5)
  double threshold = 0.5;
  double positive_weight = 1;  ///< beta_1, factor on advantages above 0, >= 0 (B2-DiffuRL's code: 1)
  double negative_weight = 1;  ///< beta_2, factor on the others, >= 0 (B2-DiffuRL's code: 1)
};
REWARD_TUNER_FIELDS(BestAndWorstOptions, num_branches, threshold, positive_weight, negative_weight);

/// + = argmax_k A_k if A_+ >= threshold, - = argmin_k A_k if A_- < -threshold, the first of equal ones (B2-paper,
/// section 3.3, Eq. 5 and 6, and its code). Each is kept or dropped independently, so a root yields 0, 1 or 2 branches,
/// + first; never the same branch twice, as no advantage passes both tests.
/// Errors: a number of advantages other than num_branches, advantages that are not finite.
class BestAndWorst {
 public:
  using Role = BranchingRole;
  using Options = BestAndWorstOptions;
  static constexpr std::string_view kName = "best_and_worst";

  explicit BestAndWorst(BestAndWorstOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.num_branches >= 2, "[BestAndWorst] num_branches must be >= 2, got ",
                       options_.num_branches);
    REWARD_TUNER_CHECK(std::isfinite(options_.threshold) && options_.threshold >= 0,
                       "[BestAndWorst] threshold must be >= 0, got ", options_.threshold);
    REWARD_TUNER_CHECK(std::isfinite(options_.positive_weight) && options_.positive_weight >= 0,
                       "[BestAndWorst] positive_weight must be >= 0, got ", options_.positive_weight);
    REWARD_TUNER_CHECK(std::isfinite(options_.negative_weight) && options_.negative_weight >= 0,
                       "[BestAndWorst] negative_weight must be >= 0, got ", options_.negative_weight);
  }
  const BestAndWorstOptions& options() const { return options_; }

  int branches() const { return options_.num_branches; }

  std::vector<BranchChoice> choose(const std::vector<double>& advantages) const {
    REWARD_TUNER_CHECK(advantages.size() == static_cast<std::size_t>(options_.num_branches),
                       "[BestAndWorst] expected the advantages of ", options_.num_branches, " branches, got ",
                       advantages.size());
    for (const double a : advantages)
      REWARD_TUNER_CHECK(std::isfinite(a), "[BestAndWorst] expected finite advantages, got ", a);
    const auto best = std::ranges::max_element(advantages), worst = std::ranges::min_element(advantages);
    const auto choice = [&](auto branch) {
      return BranchChoice{.branch = static_cast<std::size_t>(branch - advantages.begin()),
                          .weight = *branch > 0 ? options_.positive_weight : options_.negative_weight};
    };
    std::vector<BranchChoice> chosen;
    if (*best >= options_.threshold) chosen.push_back(choice(best));
    if (*worst < -options_.threshold) chosen.push_back(choice(worst));
    return chosen;
  }

 private:
  BestAndWorstOptions options_;
};
static_assert(BranchingPolicy<BestAndWorst>);

}  // namespace reward_tuner
