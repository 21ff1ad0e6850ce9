// dpo and b2-dpo: preferences between branches.
#include <reward_tuner/objectives/preference.hpp>

#include "sampled_method.hpp"

namespace rt_shared {
namespace {

const RegisteredUnit preference_unit(MethodUnit::kPreference, [](TuneSession& s) {
  return train_on_log_probs<rt::Preference>(s, {.beta = s.settings.beta, .reference = s.settings.preference_reference});
});

}  // namespace
}  // namespace rt_shared
