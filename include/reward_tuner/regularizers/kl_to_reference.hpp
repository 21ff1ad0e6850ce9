// Stay near the untuned network at the trained steps.
#pragma once
#include <cmath>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>

namespace reward_tuner {

/// How strongly KlToReference pulls.
struct KlToReferenceOptions {
  double weight = 1.0;  ///< factor relative to the reward, >= 0; 0 saves one no-grad network call per trained step
};
REWARD_TUNER_FIELDS(KlToReferenceOptions, weight);

/// L_reg = weight * mean over trained steps, samples and elements of (network(x) - reference(x))^2, both halves of the
/// guidance batch. Up to the factor b^2/(2c^2) of a step this is the Kullback-Leibler divergence between the two
/// samplers' steps (Fan et al. 2023, DPOK, Eq. 9); DPOK's public code drops that factor too.
class KlToReference {
 public:
  using Role = RegularizerRole;
  using Options = KlToReferenceOptions;
  static constexpr std::string_view kName = "kl_to_reference";
  static constexpr bool kNeedsReference = true;

  explicit KlToReference(KlToReferenceOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(std::isfinite(options_.weight) && options_.weight >= 0,
                       "[KlToReference] weight must be finite and >= 0, got ", options_.weight);
  }
  double weight() const { return options_.weight; }

 private:
  KlToReferenceOptions options_;
};
static_assert(RegularizerPolicy<KlToReference>);

}  // namespace reward_tuner
