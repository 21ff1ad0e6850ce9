// rt-tune tune --method drtune
#include <reward_tuner/methods/drtune.hpp>

#include "direct_method.hpp"

namespace rt_tune {

TuneResult tune_drtune(TuneSession& s) {
  rt::SpreadStepsOptions steps;
  if (s.settings.trained_steps > 0) steps.num_trained = s.settings.trained_steps;
  if (s.settings.early_stop) steps.max_early_stop = *s.settings.early_stop;
  return train_method<rt::DRTune>(s, steps);
}

}  // namespace rt_tune
