// rt-tune tune --method draft-lv
#include <reward_tuner/methods/draft_lv.hpp>

#include "direct_method.hpp"

namespace rt_tune {

TuneResult tune_draft_lv(TuneSession& s) {
  refuse_early_stop(s.settings, "which always runs to the end");
  refuse_trained_steps(s.settings, "which trains the last step; --noises says how often");
  return train_method<rt::DRaFTLV>(s, rt::NoisedTailOptions{.num_noises = s.settings.noises});
}

}  // namespace rt_tune
