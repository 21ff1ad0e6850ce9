// What the methods that use the reward's gradient share.
#pragma once
#include <iostream>
#include <utility>

#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/tuner/trainer.hpp>

#include "methods.hpp"

namespace rt_tune {

/// Throws for rewards without a gradient.
inline void require_gradient(const TuneSession& s) {
  REWARD_TUNER_CHECK(s.reward.black_box.empty(), "[rt-tune] --method ", s.settings.method, " needs differentiable rewards, but '", s.reward.black_box, "' is a black box");
}

inline reward_tuner::KlToReferenceOptions kl_options(const TuneSettings& s) { return {.weight = s.regularizer == "kl" ? s.kl_weight : 0.0}; }
inline reward_tuner::EngineOptions engine_options(const TuneSettings& s) { return {.micro_batch = s.micro_batch, .gradient_clip = s.clip_gradient}; }

/// Runs a tuner in the session's folder.
template <class Tuner>
TuneResult train(Tuner tuner, TuneSession& s) {
  reward_tuner::Trainer trainer(s.settings.out, tuner, s.pipeline, s.optimizer, s.weights, s.prompts, s.held_out, s.description, s.trainer);
  if (s.settings.quiet)  // otherwise the trainer has said it above its progress bar
    for (const auto& note : trainer.notes()) std::cerr << "note: " << note << '\n';
  auto outcome = trainer.run();
  return {outcome.end, std::move(outcome.progress)};
}

}  // namespace rt_tune
