// rt-tune tune --method drtune
#include <reward_tuner/methods/drtune.hpp>

#include "direct_method.hpp"

namespace rt_tune {

namespace rt = reward_tuner;

TuneResult tune_drtune(TuneSession& s) {
  require_gradient(s);
  rt::SpreadStepsOptions steps;
  if (s.settings.trained_steps > 0) steps.num_trained = s.settings.trained_steps;
  if (s.settings.early_stop) steps.max_early_stop = *s.settings.early_stop;
  return train(rt::make<rt::DRTune, rt::AnySampler, rt::KlToReference>(
                   s.reward.reward,
                   {.sampler = sampler_options(s.settings.sampling), .steps = steps, .regularizer = kl_options(s.settings), .engine = engine_options(s.settings)}),
               s);
}

}  // namespace rt_tune
