// rt-tune tune --method refl
#include <reward_tuner/methods/refl.hpp>

#include "direct_method.hpp"

namespace rt_tune {

TuneResult tune_refl(TuneSession& s) {
  rt::LateJumpOptions steps;
  if (s.settings.early_stop) steps.max_stop = *s.settings.early_stop;
  return train_method<rt::ReFL>(s, steps);
}

}  // namespace rt_tune
