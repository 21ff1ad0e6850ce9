// What the methods that follow the reward's gradient share.
#pragma once
#include <reward_tuner/gradient_stop/pass_input.hpp>
#include <reward_tuner/gradient_stop/stop_input.hpp>

#include "method_run.hpp"

namespace rt_tune {

/// Throws for rewards without a gradient.
inline void require_gradient(const TuneSession& s) {
  REWARD_TUNER_CHECK(s.reward.black_box.empty(), "[rt-tune] --method ", s.settings.method,
                     " needs differentiable rewards, but '", s.reward.black_box,
                     "' is a black box: choose a method that learns from samples, as ddpo");
}

inline rt::DirectGradientOptions objective_options(const TuneSettings& s) {
  return {.scale = s.loss_scale,
          .loss = s.loss == "hinge"      ? rt::RewardLoss::kHinge
                  : s.loss == "distance" ? rt::RewardLoss::kDistance
                                         : rt::RewardLoss::kNegative,
          .target = s.loss_target};
}

/// Makes `Method` with everything the settings say beside its steps, and runs it.
template <class Tuner>
TuneResult train_direct(TuneSession& s, const typename Tuner::StepSelection::Options& steps) {
  typename Tuner::Options options;
  options.sampler = sampler_options(s.settings.sampling);
  options.steps = steps;
  options.exploration = exploration_options(s.settings);
  options.objective = objective_options(s.settings);
  options.regularizer = regularizer_options(s.settings);
  options.engine = engine_options(s.settings);
  return train(Tuner(s.reward.reward, options), s);
}

/// The same with the gradient stop that --gradient-stop names, or the method's own.
template <template <class...> class Method, class Steps>
TuneResult train_method(TuneSession& s, const Steps& steps) {
  require_gradient(s);
  if (s.settings.gradient_stop == "stop")
    return train_direct<Method<rt::AnyReward, rt::StopInput, rt::AnySampler, ChosenExploration, ChosenRegularizer>>(
        s, steps);
  if (s.settings.gradient_stop == "pass")
    return train_direct<Method<rt::AnyReward, rt::PassInput, rt::AnySampler, ChosenExploration, ChosenRegularizer>>(
        s, steps);
  using Own = typename Method<rt::AnyReward>::GradientStop;
  return train_direct<Method<rt::AnyReward, Own, rt::AnySampler, ChosenExploration, ChosenRegularizer>>(s, steps);
}

}  // namespace rt_tune
