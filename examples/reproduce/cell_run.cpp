// Sets a cell up and runs it.
#include "cell_run.hpp"

#include <ATen/Parallel.h>

#include <iostream>

#include <reward_tuner/files/checkpoint.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/run/interrupt_guard.hpp>
#include <reward_tuner/run/run_folder.hpp>
#include <reward_tuner/shapes/shape_evaluation.hpp>

#include "../tune/rewards.hpp"
#include "diffexp_plan.hpp"
#include "drtune_plan.hpp"
#include "inception_reward.hpp"
#include "lsrl_measure.hpp"
#include "lsrl_plan.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

rt::DdimOptions sampler_options(const CellSession& session) {
  return {.num_steps = session.cell.steps, .guidance = session.study.settings.guidance};
}
rt::KlToReferenceOptions regularizer_options(const CellSession& session) { return {.weight = session.study.kl_weight}; }
rt::EngineOptions engine_options(const CellSession& session) { return {.gradient_clip = session.study.settings.clip}; }

namespace {

rt::AnyReward make_reward(const Study& study, const Cell& cell) {
  if (study.kind == StudyKind::kLsrl) return rt::AnyReward(rt::ClipScoreReward());  // its tasks have their own
  rt_tune::TuneSettings settings;
  const double scale = reward_scale(cell.reward), text_weight = study.settings.text_weight;
  settings.rewards = {scale == 1 ? cell.reward : cell.reward + ":" + std::to_string(scale)};
  settings.text_weight = text_weight;  // of the symmetry reward
  // the same safeguard: a blank image is stored without error
  if (cell.reward == "jpeg_error") settings.rewards.push_back("clip_score:" + std::to_string(text_weight));
  return rt_tune::make_reward(settings).reward;
}

std::string method_name(const Cell& cell) {
  const std::string exploration =
      std::string(cell.guidance ? " with dynamic guidance" : "") + (cell.words ? " with prompt weighting" : "");
  const std::string b2 =
      std::string(cell.window ? " with backward window" : "") + (cell.branches ? " with branches" : "");
  const std::string stop = cell.stop_input ? " with stop_input" : "";
  switch (cell.method) {
    case Method::kDrtune:
      return "drtune";
    case Method::kDraft:
      return "draft" + stop;
    case Method::kDraftLv:
      return "draft_lv";
    case Method::kRefl:
      return "refl";
    case Method::kAlignprop:
      return "alignprop" + stop;
    case Method::kGradientNorms:
      return "gradient norms";
    case Method::kDdpo:
      return "ddpo" + b2 + exploration;
    case Method::kPolicyGradient:
      return "policy_gradient" + b2;
    case Method::kDpok:
      return "dpok" + b2;
    case Method::kDpo:
      return "dpo" + b2;
    case Method::kAlignpropExplored:
      return "alignprop" + exploration;
    case Method::kLsrl:
      return "lsrl";
    case Method::kLsrlJoint:
      return "lsrl, all tasks";
    case Method::kUntuned:
      return "untuned";
  }
  return "";
}

rt::RunEnd run(CellSession& s) {
  switch (s.cell.method) {
    case Method::kDrtune:
      return run_drtune(s);
    case Method::kDraft:
      return s.cell.stop_input ? run_draft_stop(s) : run_draft(s);
    case Method::kDraftLv:
      return run_draft_lv(s);
    case Method::kRefl:
      return run_refl(s);
    case Method::kAlignprop:
      return s.cell.stop_input ? run_alignprop_stop(s) : run_alignprop(s);
    case Method::kGradientNorms:
      return measure_gradient_norms(s);
    case Method::kDdpo:
      return run_ddpo(s);
    case Method::kPolicyGradient:
      return run_policy_gradient(s);
    case Method::kDpok:
      return run_dpok(s);
    case Method::kDpo:
      return run_dpo(s);
    case Method::kAlignpropExplored:
      return run_alignprop_explored(s);
    case Method::kLsrl:
      return run_lsrl(s);
    case Method::kLsrlJoint:
      return run_lsrl_joint(s);
    case Method::kUntuned:
      break;
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

/// What decides the cell's numbers; a resume with other values is refused.
nlohmann::json cell_options(const Study& study, const Cell& cell) {
  nlohmann::json options = study_settings(study);
  options.erase("cpu_seconds");  // a budget may be raised
  options.update({{"steps", cell.steps},
                  {"trained_steps", cell.trained_steps},
                  {"early_stop", cell.early_stop},
                  {"stop_input", cell.stop_input}});
  if (study.kind != StudyKind::kDrtune)
    options.update({{"window", cell.window},
                    {"branches", cell.branches},
                    {"dynamic_guidance", cell.guidance},
                    {"prompt_weighting", cell.words},
                    {"leave_one_out", cell.leave_one_out},
                    {"pretraining", cell.pretraining}});
  return options;
}

rt::TrainerOptions trainer_options(const Study& study, const Cell& cell, bool resume) {
  const Settings& s = study.settings;
  rt::TrainerOptions trainer;
  trainer.updates = 1000000;  // the budget ends the run
  trainer.cpu_minutes = cell.budget * study.cpu_seconds / 60;
  // as many rollouts from noise with branches as without
  trainer.batch = cell.branches ? s.batch * s.samples : s.batch;
  trainer.seed = cell.seed;
  trainer.warm_up_updates = s.warm_up;
  trainer.ema_decay = s.ema;
  trainer.images = s.images;
  trainer.evaluate_every = s.evaluate_every * (cell.method == Method::kAlignpropExplored ? kAlignpropUpdates : 1);
  trainer.checkpoint_every = study.kind == StudyKind::kDrtune ? 10 : 2;
  trainer.keep_checkpoints = 1;
  trainer.tensorboard = false;
  trainer.resume = resume;
  trainer.interrupted = [] { return rt::InterruptGuard::interrupted(); };
  return trainer;
}

}  // namespace

int run_cell(const Study& study, const Cell& cell) {
  const auto folder = study.out / cell.name;
  if (finished(study, cell.name)) return kDone;
  at::set_num_threads(1);  // the budget is CPU time of the process
  const rt::InterruptGuard guard;
  // nothing to train, or trained and not yet measured
  if (cell.method == Method::kUntuned || std::filesystem::exists(folder / "report.json")) {
    measure_tasks(study, cell);
    return kDone;
  }
  bool resume = false;
  if (cell.method == Method::kGradientNorms) std::filesystem::create_directories(folder);
  else resume = begun(folder);
  auto pipeline = rt::StableDiffusion::load(study.model);
  const Settings& s = study.settings;
  const auto lora = rt::Lora::attach(pipeline.unet(), {.rank = s.rank, .targets = {"all"}, .seed = cell.seed});
  rt::AdamW optimizer(
      lora.parameters(),
      {.learning_rate = s.learning_rate, .beta1 = s.beta1, .beta2 = s.beta2, .weight_decay = s.weight_decay});
  const auto held_out = rt::PromptSet::from_file(
      study.kind == StudyKind::kLsrl ? lsrl_prompts(study, "composition", true) : study.held_out);
  CellSession session{study,
                      cell,
                      folder,
                      pipeline,
                      optimizer,
                      rt::trained_weights(lora),
                      rt::PromptSet::from_file(study.prompts),
                      rt::evaluation_pairs(held_out.prompts(), study.held_out_seeds, s.first_held_out_seed),
                      make_reward(study, cell),
                      {},
                      trainer_options(study, cell, resume)};
  session.trainer.evaluation_rewards = rt::shapes::shape_evaluation_rewards(held_out.prompts());
  if (study.kind == StudyKind::kB2)
    session.trainer.evaluation_rewards.push_back({"inception_score", rt::AnyReward(InceptionReward(pipeline.clip()))});
  session.description.method = method_name(cell);
  session.description.reward = cell.reward;
  session.description.model = study.model.string();
  session.description.options = cell_options(study, cell);
  if (run(session) == rt::RunEnd::kInterrupted) return kInterrupted;
  if (study.kind == StudyKind::kLsrl) measure_tasks(study, cell);
  return kDone;
}

}  // namespace rt_reproduce
