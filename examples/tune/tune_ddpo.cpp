// rt-tune tune --method ddpo, grpo, b2-ddpo and lsrl: the clipped ratio.
#include <reward_tuner/methods/ddpo.hpp>

#include "sampled_method.hpp"

namespace rt_tune {

TuneResult tune_ddpo(TuneSession& s) { return train_on_log_probs<rt::DDPO>(s, {.clip = *s.settings.clip_range}); }

}  // namespace rt_tune
