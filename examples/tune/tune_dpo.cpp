// rt-tune tune --method dpo and b2-dpo: preferences between branches.
#include <reward_tuner/methods/dpo.hpp>

#include "sampled_method.hpp"

namespace rt_tune {

TuneResult tune_dpo(TuneSession& s) {
  const auto reference = s.settings.preference_reference == "untuned" ? rt::PreferenceReference::kUntuned
                                                                      : rt::PreferenceReference::kSampling;
  return train_on_log_probs<rt::DPO>(s, {.beta = s.settings.beta, .reference = reference});
}

}  // namespace rt_tune
