// rt-tune tune --method draft-lv
#include <reward_tuner/methods/draft_lv.hpp>

#include "direct_method.hpp"

namespace rt_tune {

TuneResult tune_draft_lv(TuneSession& s) {
  return train_method<rt::DRaFTLV>(s, rt::NoisedTailOptions{.num_noises = s.settings.noises});
}

}  // namespace rt_tune
