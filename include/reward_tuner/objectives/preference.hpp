// Direct preference optimization on pairs of sampled images, step by step.
#pragma once
#include <ATen/ops/log_sigmoid.h>

#include <cmath>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/round_options.hpp>
#include <reward_tuner/objectives/policy_rows.hpp>

namespace reward_tuner {

/// What a preference is measured against.
enum class PreferenceReference {
  kSampling,  ///< the policy that sampled the pair: its log-probabilities are stored, no further network call
  kUntuned,   ///< the untuned network: one more no-grad call per row
};

/// The strength and the reference of Preference, and how its rounds are sampled and trained.
struct PreferenceOptions {
  /// how strongly the reference holds, > 0 (D3PO's code: 0.1); acts on reduced log-probabilities, so with
  /// round.reduction = kMean the pull of one step is beta times a mean over D numbers
  double beta = 0.1;
  PreferenceReference reference = PreferenceReference::kSampling;  ///< see PreferenceReference
  RoundOptions round = {};                                         ///< how a round is sampled and trained
};
REWARD_TUNER_FIELDS(PreferenceOptions, beta, reference, round);

/// L = -log sigmoid( beta * [ (lp+ - lpref+) - (lp- - lpref-) ] ) of each trained step of a pair: + is the image of
/// higher reward, - its partner from the same root (B2-DiffuRL paper Eq. 8, with D3PO's sum over steps: Yang et al.
/// 2024, Eq. 13). Gradient: to both log-probabilities; bounded, needs no advantage scale.
class Preference {
 public:
  using Role = ObjectiveRole;
  using Options = PreferenceOptions;
  static constexpr std::string_view kName = "preference";
  static constexpr Surrogate kSurrogate = Surrogate::kLogProb;
  static constexpr bool kPairs = true;

  explicit Preference(PreferenceOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.beta > 0 && std::isfinite(options_.beta), "[Preference] beta must be > 0, got ",
                       options_.beta);
    check_options(options_.round);
  }
  const PreferenceOptions& options() const { return options_; }
  bool needs_reference() const { return options_.reference == PreferenceReference::kUntuned; }

  /// 2m rows, the preferred ones first -> losses [m].
  Tensor losses(const PolicyRows& rows) const {
    const Tensor& reference = needs_reference() ? rows.reference_log_probs : rows.old_log_probs;
    const auto gains = (rows.log_probs - reference).chunk(2);  // [m] each
    return -at::log_sigmoid(options_.beta * (gains[0] - gains[1]));
  }

 private:
  PreferenceOptions options_;
};
static_assert(LogProbObjective<Preference>);

}  // namespace reward_tuner
