// The methods that follow the reward's gradient: drtune, draft, draft-lv, refl and alignprop. They differ in the steps
// they train and in whether the gradient passes the network's input, so two tuner types are all of them.
#pragma once
#include "method_run.hpp"
#include "sampler_options.hpp"

namespace rt_shared {

inline ChosenDirectSteps::Options direct_steps(const TuneSettings& s, const MethodEntry& method) {
  if (method.name == "draft") return rt::LastStepsOptions{.num_trained = s.trained_steps};
  if (method.name == "draft-lv") return rt::NoisedTailOptions{.num_noises = s.noises};
  if (method.name == "refl") return rt::LateJumpOptions{.max_stop = *s.early_stop};
  if (method.name == "alignprop") {
    rt::RandomHorizonOptions steps{.draw = s.horizon};
    if (s.horizon == rt::HorizonDraw::kFixed) steps.cutoff = s.steps - s.trained_steps;
    return steps;
  }
  rt::SpreadStepsOptions steps{.num_trained = s.trained_steps};
  if (s.early_stop) steps.max_early_stop = *s.early_stop;
  return steps;
}

template <class Stop>
TuneResult train_direct(TuneSession& session) {
  using Tuner =
      rt::RewardTuner<rt::AnyReward, Stop, ChosenDirectSteps, rt::AnySampler, ChosenExploration, ChosenRegularizer>;
  REWARD_TUNER_CHECK(session.reward.black_box.empty(), "[rt-tune] --method ", session.method.name,
                     " needs differentiable rewards, but '", session.reward.black_box,
                     "' is a black box: choose a method that learns from samples, as ddpo");
  const TuneSettings& s = session.settings;
  typename Tuner::Options options;
  options.sampler = sampler_options(s);
  options.steps = direct_steps(s, session.method);
  options.exploration = exploration_options(s);
  options.objective = {.scale = s.loss_scale, .loss = s.loss, .target = s.loss_target};
  options.regularizer = regularizer_options(session, s);
  options.engine = engine_options(s);
  return train(Tuner(session.reward.reward, options), session);
}

}  // namespace rt_shared
