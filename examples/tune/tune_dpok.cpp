// rt-tune tune --method dpok and b2-dpok: a penalty on leaving the untuned network, and a learned baseline.
#include <reward_tuner/methods/dpok.hpp>

#include "sampled_method.hpp"

namespace rt_tune {

TuneResult tune_dpok(TuneSession& s) {
  const TuneSettings& settings = s.settings;
  return train_on_log_probs<rt::DPOK>(s, {.reward_weight = settings.dpok_reward_weight,
                                          .kl_weight = settings.dpok_kl_weight,
                                          .clip = *settings.clip_range,
                                          .value = {.enabled = !settings.no_value_baseline}});
}

}  // namespace rt_tune
