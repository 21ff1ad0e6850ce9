// rt-tune tune --method alignprop
#include <reward_tuner/methods/alignprop.hpp>

#include "direct_method.hpp"

namespace rt_tune {

TuneResult tune_alignprop(TuneSession& s) {
  const TuneSettings& settings = s.settings;
  rt::RandomHorizonOptions steps;
  if (settings.horizon == "per-rollout") steps.draw = rt::HorizonDraw::kPerRollout;
  if (settings.horizon == "contiguous") steps.draw = rt::HorizonDraw::kContiguous;
  if (settings.horizon == "fixed") {
    steps.draw = rt::HorizonDraw::kFixed;
    if (settings.trained_steps > 0) steps.cutoff = settings.sampling.steps - settings.trained_steps;
  }
  return train_method<rt::AlignProp>(s, steps);
}

}  // namespace rt_tune
