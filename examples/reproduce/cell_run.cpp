// Sets a cell up and runs it.
#include "cell_run.hpp"

#include <ATen/Parallel.h>

#include <iostream>

#include <reward_tuner/backend/checkpoint.hpp>
#include <reward_tuner/backend/lora.hpp>
#include <reward_tuner/tuner/interrupt_guard.hpp>
#include <reward_tuner/tuner/run_folder.hpp>

#include "../tune/rewards.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;
using S = Settings;

rt::DdimOptions sampler_options(const Cell& cell) { return {.num_steps = cell.steps, .guidance = S::kGuidance}; }
rt::KlToReferenceOptions regularizer_options(const CellSession& session) { return {.weight = session.kl_weight}; }
rt::EngineOptions engine_options() { return {.gradient_clip = S::kClip}; }

namespace {

rt::AnyReward make_reward(const Cell& cell) {
  rt_tune::TuneSettings settings;
  const double scale = reward_scale(cell.reward);
  settings.rewards = {scale == 1 ? cell.reward : cell.reward + ":" + std::to_string(scale)};
  settings.text_weight = S::kTextWeight;                                                                // of the symmetry reward
  if (cell.reward == "jpeg_error") settings.rewards.push_back("clip_score:" + std::to_string(S::kTextWeight));  // the same safeguard: a blank picture is stored without error
  return rt_tune::make_reward(settings).reward;
}

const char* method_name(const Cell& cell) {
  switch (cell.method) {
    case Method::kDrtune: return "drtune";
    case Method::kDraft: return cell.stop_input ? "draft with stop_input" : "draft";
    case Method::kDraftLv: return "draft_lv";
    case Method::kRefl: return "refl";
    case Method::kAlignprop: return cell.stop_input ? "alignprop with stop_input" : "alignprop";
    case Method::kGradientNorms: return "gradient norms";
  }
  return "";
}

rt::RunEnd run(CellSession& s, const Study& study) {
  switch (s.cell.method) {
    case Method::kDrtune: return run_drtune(s);
    case Method::kDraft: return s.cell.stop_input ? run_draft_stop(s) : run_draft(s);
    case Method::kDraftLv: return run_draft_lv(s);
    case Method::kRefl: return run_refl(s);
    case Method::kAlignprop: return s.cell.stop_input ? run_alignprop_stop(s) : run_alignprop(s);
    case Method::kGradientNorms: return measure_gradient_norms(s, study);
  }
  return rt::RunEnd::kInterrupted;
}

/// Whether the cell has a checkpoint to go on from. A folder that was left before its first one is emptied.
bool begun(const std::filesystem::path& folder) {
  if (!std::filesystem::exists(folder)) return false;
  const auto in_use = rt::RunFolder::reopen(folder);
  if (rt::CheckpointFolder(folder / "checkpoints").latest()) return true;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) std::filesystem::remove_all(entry.path());
  return false;
}

}  // namespace

int run_cell(const Study& study, const Cell& cell) {
  const auto folder = study.out / cell.name;
  if (std::filesystem::exists(folder / "report.json")) return kDone;
  at::set_num_threads(1);  // the budget is CPU time of the process
  const rt::InterruptGuard guard;
  bool resume = false;
  if (cell.method == Method::kGradientNorms) std::filesystem::create_directories(folder);
  else resume = begun(folder);
  auto pipeline = rt::StableDiffusion::load(study.model);
  const auto lora = rt::Lora::attach(pipeline.unet(), {.rank = S::kRank, .targets = {"all"}, .seed = cell.seed});
  rt::AdamW optimizer(lora.parameters(), {.learning_rate = S::kLearningRate, .beta1 = S::kBeta1, .beta2 = S::kBeta2, .weight_decay = S::kWeightDecay});
  nlohmann::json options = study_settings(study);
  options.erase("cpu_seconds");  // a budget may be raised
  options.update({{"steps", cell.steps}, {"trained_steps", cell.trained_steps}, {"early_stop", cell.early_stop}, {"stop_input", cell.stop_input}});
  rt::TrainerOptions trainer;
  trainer.updates = 1000000;  // the budget ends the run
  trainer.cpu_minutes = study.cpu_seconds / 60;
  trainer.batch = S::kBatch;
  trainer.seed = cell.seed;
  trainer.warm_up_updates = S::kWarmUp;
  trainer.ema_decay = S::kEma;
  trainer.pictures = S::kPictures;
  trainer.checkpoint_every = 10;
  trainer.keep_checkpoints = 1;
  trainer.tensorboard = false;
  trainer.resume = resume;
  trainer.interrupted = [] { return rt::InterruptGuard::interrupted(); };
  const auto held_out = rt::PromptSet::from_file(study.held_out);
  CellSession session{cell, folder, pipeline, optimizer, rt::trained_weights(lora), rt::PromptSet::from_file(study.prompts),
                      rt::evaluation_pairs(held_out.prompts(), study.held_out_seeds, S::kFirstHeldOutSeed), make_reward(cell), {}, trainer, study.kl_weight};
  session.description.method = method_name(cell);
  session.description.reward = cell.reward;
  session.description.model = study.model.string();
  session.description.options = options;
  return run(session, study) == rt::RunEnd::kInterrupted ? kInterrupted : kDone;
}

}  // namespace rt_reproduce
