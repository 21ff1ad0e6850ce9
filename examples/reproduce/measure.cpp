// Measures a cell's model on every task.
#include "lsrl_measure.hpp"

#include <map>
#include <optional>

#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/run/evaluation.hpp>
#include <reward_tuner/run/prompt_set.hpp>
#include <reward_tuner/samplers/ddim.hpp>

#include "lsrl_plan.hpp"
#include "lsrl_tasks.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

void measure_tasks(const Study& study, const Cell& cell) {
  const auto folder = study.out / cell.name;
  auto pipeline = rt::StableDiffusion::load(study.model);
  std::optional<rt::Lora> adapter;
  if (cell.method != Method::kUntuned) adapter.emplace(rt::Lora::load(pipeline.unet(), folder / "lora"));
  const rt::Ddim sampler({.num_steps = cell.steps, .guidance = study.settings.guidance, .eta = 1});
  std::map<std::string, double> numbers;
  const auto measure = [&](const std::string& set, const std::string& task, bool held_out, int seeds,
                           std::size_t most) {
    auto prompts = rt::PromptSet::from_file(lsrl_prompts(study, task, held_out)).prompts();
    if (prompts.size() > most) prompts.resize(most);
    rt_shared::TuneSettings settings;
    settings.rewards = {lsrl_reward(task)};
    rt::AnyReward reward = rt_shared::make_reward(settings).reward;
    if (reward.needs_clip()) reward.bind_clip(pipeline.clip());
    const auto result = rt::evaluate(
        pipeline, sampler, rt::evaluation_pairs(prompts, seeds, study.settings.first_held_out_seed), {{task, reward}});
    for (const auto* from : {&result->metrics, &result->sentinels})
      for (const auto& [name, value] : *from) numbers[set + "." + name] = value;
  };
  measure("clip", "clip", true, study.quick ? 1 : 2, 24);
  measure("parity", "parity", true, 16, 8);  // M = 16 as in the paper
  measure("seen", "composition", false, study.quick ? 1 : 2, 24);
  measure("unseen", "composition", true, study.quick ? 1 : 2, 24);
  std::filesystem::create_directories(folder);
  rt::write_json(folder / "tasks.json", numbers);
  if (cell.method == Method::kUntuned)
    rt::write_json(folder / "report.json", {{"method", "untuned"}, {"model", study.model.string()}});
}

}  // namespace rt_reproduce
