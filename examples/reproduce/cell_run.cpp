// Sets a cell up and runs it.
#include "cell_run.hpp"

#include <ATen/Parallel.h>

#include <reward_tuner/files/checkpoint.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/run/interrupt_guard.hpp>
#include <reward_tuner/run/run_folder.hpp>
#include <reward_tuner/shapes/shape_evaluation.hpp>

#include <examples/shared/defaults.hpp>
#include <examples/shared/run_options.hpp>
#include <examples/shared/settings_table.hpp>
#include <examples/shared/tune_session.hpp>

#include "cell_settings.hpp"
#include "gradient_norms.hpp"
#include "lsrl_tasks.hpp"
#include "measure.hpp"
#include "studies.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

namespace {

/// Whether the cell has a checkpoint to go on from. A folder that was left before its first one is emptied.
bool begun(const std::filesystem::path& folder) {
  if (!std::filesystem::exists(folder)) return false;
  const auto in_use = rt::RunFolder::reopen(folder);
  if (rt::CheckpointFolder(folder / "checkpoints").latest()) return true;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) std::filesystem::remove_all(entry.path());
  return false;
}

/// What decides the cell's numbers; a resume with other values is refused.
nlohmann::json fingerprint_options(const Study& study, const rt_shared::TuneSettings& s,
                                   const rt_shared::MethodEntry& method) {
  nlohmann::json options = rt_shared::deciding_options(rt_shared::settings_table(), s, method);
  options["study"] = study_settings(study);
  options["study"].erase("cpu_seconds");  // a budget may be raised
  return options;
}

rt::TrainerOptions run_options(const Study& study, const rt_shared::TuneSettings& s) {
  rt::TrainerOptions options = rt_shared::trainer_options(s);
  if (study.rounds == 0) options.cpu_minutes = study.cpu_seconds / 60;
  options.interrupted = [] { return rt::InterruptGuard::interrupted(); };
  return options;
}

}  // namespace

int run_cell(const Study& study, const Cell& cell) {
  const auto folder = study.out / cell.name;
  if (finished(study, cell.name)) return kDone;
  at::set_num_threads(1);  // the budget is CPU time of the process
  const rt::InterruptGuard guard;
  // nothing to train, or trained and not yet measured
  if (cell.method == Method::kUntuned || std::filesystem::exists(folder / "report.json")) {
    measure(study, cell);
    return kDone;
  }
  rt_shared::TuneSettings settings = cell_settings(study, cell);
  if (cell.method == Method::kGradientNorms) std::filesystem::create_directories(folder);
  else settings.resume = begun(folder);
  const auto& method = rt_shared::method_entry(settings.method);
  auto pipeline = rt::StableDiffusion::load(study.model);
  rt_shared::complete(settings, method, false);
  const auto lora = rt::Lora::attach(
      pipeline.unet(),
      {.rank = settings.rank, .alpha = settings.alpha, .targets = settings.targets, .seed = settings.seed});
  rt::ShardedOptimizer<rt::AdamW8bit> optimizer(rt::Ranks(), lora.parameters(), rt_shared::optimizer_options(settings));
  const auto held_out = rt::PromptSet::from_file(study.held_out).prompts();
  rt_shared::TuneSession session{
      .settings = settings,
      .method = method,
      .pipeline = pipeline,
      .optimizer = optimizer,
      .weights = rt::trained_weights(lora),
      .prompts = rt_shared::AnyPrompts::from_file(settings.prompts, settings.stream_prompts, settings.seed),
      .held_out = rt::evaluation_pairs(held_out, study.held_out_seeds, held_out_noise(study, cell)),
      .reward = rt_shared::make_reward(settings),
      .tasks = lsrl_tasks(study, cell, settings),
      .pretraining_images = cell.pretraining ? pretraining_images(study.settings.pretraining_images) : nullptr,
      .description = {.method = settings.method,
                      .reward = cell.reward,
                      .model = study.model.string(),
                      .options = fingerprint_options(study, settings, method)},
      .trainer = run_options(study, settings)};
  session.trainer.evaluation_rewards = rt::shapes::shape_evaluation_rewards(held_out);
  const rt::RunEnd end = cell.method == Method::kGradientNorms ? measure_gradient_norms(study, session)
                                                               : rt_shared::run_method(session).end;
  if (end == rt::RunEnd::kInterrupted) return kInterrupted;
  if (measures(study)) measure(study, cell);
  return kDone;
}

}  // namespace rt_reproduce
