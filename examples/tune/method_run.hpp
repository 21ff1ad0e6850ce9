// What all methods share: options from the settings, and the run.
#pragma once
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <reward_tuner/run/captioned_images.hpp>
#include <reward_tuner/run/trainer.hpp>

#include "chosen_policies.hpp"
#include "methods.hpp"

namespace rt_tune {

inline rt::PretrainingLossOptions pretraining_options(const TuneSettings& s) {
  return {
      .images = std::make_shared<const rt::CaptionedImages>(rt::CaptionedImages::from_folder(s.pretraining_data)),
      .weight = s.pretraining_weight,
      .batch = s.pretraining_batch,
      .mode = s.pretraining_mode == "alternating" ? rt::PretrainingMode::kAlternating : rt::PretrainingMode::kJoint};
}

inline ChosenRegularizerOptions regularizer_options(const TuneSettings& s) {
  ChosenRegularizerOptions options;
  if (s.regularizer == "kl") options.kl.weight = s.kl_weight;
  if (s.regularizer == "pretraining") options.pretraining = pretraining_options(s);
  return options;
}

inline ChosenExploration::Options exploration_options(const TuneSettings& s) {
  const rt::ExplorationSpan span{.share = s.explore_share, .updates = s.planned_updates};
  if (s.explore == "guidance")
    return rt::DynamicGuidanceOptions{.low = s.guidance_low, .threshold = s.guidance_threshold, .span = span};
  if (s.explore == "prompt")
    return rt::PromptWeightingOptions{.low = s.word_weight_low, .high = s.word_weight_high, .span = span};
  if (s.explore == "diffexp")
    return rt::DiffExpOptions{.guidance = {.low = s.guidance_low, .threshold = s.guidance_threshold},
                              .words = {.low = s.word_weight_low, .high = s.word_weight_high},
                              .span = span};
  return rt::NoExplorationOptions{};
}

inline rt::EngineOptions engine_options(const TuneSettings& s) {
  const auto type = [](const std::string& name) -> std::optional<at::ScalarType> {
    if (name == "bfloat16") return at::kBFloat16;
    if (name == "float16") return at::kHalf;
    return std::nullopt;
  };
  return {.micro_batch = s.micro_batch,
          .gradient_clip = s.clip_gradient,
          .memory = s.memory == "retain" ? rt::Memory::kRetain : rt::Memory::kReplay,
          .replay_batch = s.replay_batch,
          .decode_batch = s.decode_batch,
          .merge_adapters = !s.adapters_apart,
          .rollout_dtype = type(s.rollout_dtype),
          .autocast = type(s.autocast),
          .activation_checkpointing = s.activation_checkpointing};
}

/// Runs a tuner, a RewardTuner or several tasks, in the session's folder.
template <class Tuner>
TuneResult train(Tuner tuner, TuneSession& s) {
  rt::Trainer trainer(tuner, s.pipeline, s.optimizer, s.prompts, {s.settings.out, s.weights, s.held_out, s.description},
                      s.trainer);
  if (s.settings.quiet)  // otherwise the trainer has said it above its progress bar
    for (const auto& note : trainer.notes()) std::cerr << "note: " << note << '\n';
  auto outcome = trainer.run();
  return {outcome.end, std::move(outcome.progress)};
}

}  // namespace rt_tune
