// Methods by name. Each is instantiated in a translation unit of its own, tune_<name>.cpp, since each is a different type.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/backend/adamw.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/tuner/any_sampler.hpp>
#include <reward_tuner/tuner/evaluation.hpp>
#include <reward_tuner/tuner/prompt_set.hpp>
#include <reward_tuner/tuner/run_progress.hpp>
#include <reward_tuner/tuner/trained_weights.hpp>
#include <reward_tuner/tuner/trainer_options.hpp>

#include "rewards.hpp"
#include "settings.hpp"

namespace rt_tune {

/// All that a method needs to run.
struct TuneSession {
  const TuneSettings& settings;
  reward_tuner::StableDiffusion& pipeline;
  reward_tuner::AdamW& optimizer;
  reward_tuner::TrainedWeights weights;
  reward_tuner::PromptSet prompts;
  std::vector<reward_tuner::EvaluationPair> held_out;
  ChosenReward reward;
  reward_tuner::RunDescription description;
  reward_tuner::TrainerOptions trainer;
};

struct TuneResult {
  reward_tuner::RunEnd end;
  reward_tuner::RunProgress progress;
};

TuneResult tune_drtune(TuneSession& session);
TuneResult tune_draft(TuneSession& session);
TuneResult tune_draft_lv(TuneSession& session);
TuneResult tune_refl(TuneSession& session);
TuneResult tune_alignprop(TuneSession& session);

struct MethodEntry {
  std::string_view name, summary;
  TuneResult (*tune)(TuneSession&);
};
const std::vector<MethodEntry>& method_entries();

inline reward_tuner::AnySamplerOptions sampler_options(const SamplingSettings& s) { return {.name = s.sampler, .num_steps = s.steps, .guidance = s.guidance, .eta = s.eta}; }

}  // namespace rt_tune
