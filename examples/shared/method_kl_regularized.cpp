// dpok and b2-dpok: a penalty on leaving the untuned network, and a learned baseline.
#include <reward_tuner/objectives/kl_regularized.hpp>

#include "sampled_method.hpp"

namespace rt_shared {
namespace {

const RegisteredUnit kl_regularized_unit(MethodUnit::kKlRegularized, [](TuneSession& session) {
  const TuneSettings& s = session.settings;
  return train_on_log_probs<rt::KlRegularized>(session, {.reward_weight = s.dpok_reward_weight,
                                                         .kl_weight = s.dpok_kl_weight,
                                                         .clip = s.clip_range,
                                                         .clip_nats = s.clip_nats,
                                                         .value = {.enabled = s.value_baseline}});
});

}  // namespace
}  // namespace rt_shared
