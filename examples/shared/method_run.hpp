// What all units share: options from the settings, and the run.
#pragma once
#include <iostream>
#include <utility>

#include <reward_tuner/run/trainer.hpp>

#include "chosen_policies.hpp"
#include "tune_session.hpp"

namespace rt_shared {

inline rt::PretrainingLossOptions pretraining_options(const TuneSession& session, const TuneSettings& s) {
  if (s.regularizer != RegularizerName::kPretraining) return {};
  return {.images = session.pretraining_images,
          .weight = s.pretraining_weight,
          .batch = s.pretraining_batch,
          .mode = s.pretraining_mode,
          .dropout = s.pretraining_dropout};
}

inline ChosenRegularizerOptions regularizer_options(const TuneSession& session, const TuneSettings& s) {
  ChosenRegularizerOptions options;
  if (s.regularizer == RegularizerName::kKl) options.kl.weight = s.kl_weight;
  options.pretraining = pretraining_options(session, s);
  return options;
}

inline ChosenExploration::Options exploration_options(const TuneSettings& s) {
  const rt::ExplorationSpan span{.share = s.explore_share};
  switch (s.explore) {
    case ExplorationName::kGuidance:
      return rt::DynamicGuidanceOptions{.low = s.guidance_low, .threshold = s.guidance_threshold, .span = span};
    case ExplorationName::kPrompt:
      return rt::PromptWeightingOptions{.low = s.word_weight_low, .high = s.word_weight_high, .span = span};
    case ExplorationName::kDiffexp:
      return rt::DiffExpOptions{.guidance = {.low = s.guidance_low, .threshold = s.guidance_threshold},
                                .words = {.low = s.word_weight_low, .high = s.word_weight_high},
                                .span = span};
    case ExplorationName::kNone:
      break;
  }
  return rt::NoExplorationOptions{};
}

inline rt::EngineOptions engine_options(const TuneSettings& s) {
  return {.micro_batch = s.micro_batch,
          .gradient_clip = s.clip_gradient,
          .memory = s.memory,
          .replay_batch = s.replay_batch,
          .decode_batch = s.decode_batch,
          .merge_adapters = !s.adapters_apart,
          .rollout_dtype = s.rollout_dtype,
          .capture_rollout = s.capture_rollout,
          .autocast = s.autocast,
          .gradient_scale = s.gradient_scale,
          .gradient_scale_growth = s.gradient_scale_growth,
          .activation_checkpointing = s.activation_checkpointing};
}

/// Runs a tuner, a RewardTuner or several tasks, in the session's folder.
template <class Tuner>
TuneResult train(Tuner tuner, TuneSession& s) {
  rt::Trainer trainer(tuner, s.pipeline, s.optimizer, s.prompts,
                      {s.settings.out, s.weights, s.held_out, s.description, s.ranks}, s.trainer);
  if (s.settings.quiet && s.ranks.first())  // otherwise the trainer has said it above its progress bar
    for (const auto& note : trainer.notes()) std::cerr << "note: " << note << '\n';
  auto outcome = trainer.run();
  return {outcome.end, std::move(outcome.progress), outcome.kept};
}

}  // namespace rt_shared
