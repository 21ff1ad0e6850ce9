// What the methods that use the reward's gradient share: their options from the settings, a regularizer chosen at run time, and the run.
#pragma once
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <reward_tuner/gradient_stop/pass_input.hpp>
#include <reward_tuner/gradient_stop/stop_input.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/regularizers/pretraining_loss.hpp>
#include <reward_tuner/tuner/trainer.hpp>

#include "methods.hpp"

namespace rt_tune {

namespace rt = reward_tuner;

struct ChosenRegularizerOptions {
  rt::KlToReferenceOptions kl = {.weight = 0};
  rt::PretrainingLossOptions pretraining = {};
};

/// Both regularizers, each switched off by a weight of 0 or by having no pictures.
class ChosenRegularizer {
 public:
  using Role = rt::RegularizerRole;
  using Options = ChosenRegularizerOptions;
  static constexpr std::string_view kName = "chosen";
  static constexpr bool kNeedsReference = true;

  explicit ChosenRegularizer(ChosenRegularizerOptions options = {}) : kl_(options.kl), pretraining_(std::move(options.pretraining)) {}
  double weight() const { return kl_.weight(); }
  bool alternates() const { return pretraining_.alternates(); }
  template <class Pipeline>
  rt::Tensor own_loss(Pipeline& pipeline, rt::Rng& rng) const { return pretraining_.own_loss(pipeline, rng); }

 private:
  rt::KlToReference kl_;
  rt::PretrainingLoss pretraining_;
};
static_assert(rt::RegularizerPolicy<ChosenRegularizer>);

/// Throws for rewards without a gradient.
inline void require_gradient(const TuneSession& s) {
  REWARD_TUNER_CHECK(s.reward.black_box.empty(), "[rt-tune] --method ", s.settings.method, " needs differentiable rewards, but '", s.reward.black_box, "' is a black box");
}

/// Throws if a flag was given that this method does not have.
inline void refuse_early_stop(const TuneSettings& s, const char* why) {
  REWARD_TUNER_CHECK(!s.early_stop, "[rt-tune] --early-stop has no meaning with --method ", s.method, ", ", why);
}
inline void refuse_trained_steps(const TuneSettings& s, const char* why) {
  REWARD_TUNER_CHECK(s.trained_steps == 0, "[rt-tune] --trained-steps has no meaning with --method ", s.method, ", ", why);
}

inline ChosenRegularizerOptions regularizer_options(const TuneSettings& s) {
  ChosenRegularizerOptions options;
  if (s.regularizer == "kl") options.kl.weight = s.kl_weight;
  REWARD_TUNER_CHECK(s.regularizer == "pretraining" || s.pretraining_data.empty(), "[rt-tune] --pretraining-data wants --regularizer pretraining");
  if (s.regularizer == "pretraining") {
    REWARD_TUNER_CHECK(!s.pretraining_data.empty(), "[rt-tune] --regularizer pretraining wants --pretraining-data, a folder of captioned pictures");
    options.pretraining = {.pictures = std::make_shared<const rt::CaptionedPictures>(rt::CaptionedPictures::from_folder(s.pretraining_data)),
                           .weight = s.pretraining_weight,
                           .batch = s.pretraining_batch,
                           .mode = s.pretraining_mode == "alternating" ? rt::PretrainingMode::kAlternating : rt::PretrainingMode::kJoint};
  }
  return options;
}

inline rt::DirectGradientOptions objective_options(const TuneSettings& s) {
  return {.scale = s.loss_scale, .loss = s.loss == "hinge" ? rt::RewardLoss::kHinge : s.loss == "distance" ? rt::RewardLoss::kDistance : rt::RewardLoss::kNegative, .target = s.loss_target};
}

inline rt::EngineOptions engine_options(const TuneSettings& s) {
  const auto type = [](const std::string& name) -> std::optional<at::ScalarType> {
    if (name == "bfloat16") return at::kBFloat16;
    if (name == "float16") return at::kHalf;
    return std::nullopt;
  };
  return {.micro_batch = s.micro_batch, .gradient_clip = s.clip_gradient, .memory = s.memory == "retain" ? rt::Memory::retain : rt::Memory::replay, .replay_batch = s.replay_batch,
          .decode_batch = s.decode_batch, .merge_adapters = !s.adapters_apart, .rollout_dtype = type(s.rollout_dtype), .autocast = type(s.autocast),
          .activation_checkpointing = s.activation_checkpointing};
}

/// Runs a tuner in the session's folder.
template <class Tuner>
TuneResult train(Tuner tuner, TuneSession& s) {
  rt::Trainer trainer(s.settings.out, tuner, s.pipeline, s.optimizer, s.weights, s.prompts, s.held_out, s.description, s.trainer);
  if (s.settings.quiet)  // otherwise the trainer has said it above its progress bar
    for (const auto& note : trainer.notes()) std::cerr << "note: " << note << '\n';
  auto outcome = trainer.run();
  return {outcome.end, std::move(outcome.progress)};
}

/// Makes `Method` with everything the settings say beside its steps, and runs it.
template <class Tuner>
TuneResult train_direct(TuneSession& s, const typename Tuner::StepSelection::Options& steps) {
  typename Tuner::Options options;
  options.sampler = sampler_options(s.settings.sampling);
  options.steps = steps;
  options.objective = objective_options(s.settings);
  options.regularizer = regularizer_options(s.settings);
  options.engine = engine_options(s.settings);
  return train(Tuner(s.reward.reward, options), s);
}

/// The same with the gradient stop that --gradient-stop names, or the method's own.
template <template <class...> class Method, class Steps>
TuneResult train_method(TuneSession& s, const Steps& steps) {
  require_gradient(s);
  if (s.settings.gradient_stop == "stop") return train_direct<Method<rt::AnyReward, rt::StopInput, rt::AnySampler, ChosenRegularizer>>(s, steps);
  if (s.settings.gradient_stop == "pass") return train_direct<Method<rt::AnyReward, rt::PassInput, rt::AnySampler, ChosenRegularizer>>(s, steps);
  using Own = typename Method<rt::AnyReward>::GradientStop;
  return train_direct<Method<rt::AnyReward, Own, rt::AnySampler, ChosenRegularizer>>(s, steps);
}

}  // namespace rt_tune
