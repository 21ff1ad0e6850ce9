// rt-tune tune --method draft
#include <reward_tuner/methods/draft.hpp>

#include "direct_method.hpp"

namespace rt_tune {

TuneResult tune_draft(TuneSession& s) {
  rt::LastStepsOptions steps;
  if (s.settings.trained_steps > 0) steps.num_trained = s.settings.trained_steps;
  return train_method<rt::DRaFT>(s, steps);
}

}  // namespace rt_tune
