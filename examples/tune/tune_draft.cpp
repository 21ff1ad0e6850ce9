// rt-tune tune --method draft
#include <reward_tuner/methods/draft.hpp>

#include "direct_method.hpp"

namespace rt_tune {

namespace rt = reward_tuner;

TuneResult tune_draft(TuneSession& s) {
  require_gradient(s);
  REWARD_TUNER_CHECK(!s.settings.early_stop, "[rt-tune] --early-stop has no meaning with --method draft, which always runs to the end");
  rt::LastStepsOptions steps;
  if (s.settings.trained_steps > 0) steps.num_trained = s.settings.trained_steps;
  return train(rt::make<rt::DRaFT, rt::AnySampler, rt::KlToReference>(
                   s.reward.reward,
                   {.sampler = sampler_options(s.settings.sampling), .steps = steps, .regularizer = kl_options(s.settings), .engine = engine_options(s.settings)}),
               s);
}

}  // namespace rt_tune
