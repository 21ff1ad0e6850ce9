#include "lsrl_tasks.hpp"

#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/run/captioned_images.hpp>

#include <examples/pretrain/shape_images.hpp>
#include <examples/shared/defaults.hpp>

#include "lsrl_plan.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

std::shared_ptr<const rt::CaptionedImages> pretraining_images(int count) {
  rt::Rng rng(7);  // the same images in every cell
  const auto set = rt::pretrain::draw_images(count, rt::Rng(8));
  std::vector<std::string> captions;
  for (const auto& scene : set.scenes)
    captions.push_back(rt::pretrain::caption_text(rt::pretrain::describe(scene, rng), rng));
  return std::make_shared<const rt::CaptionedImages>(set.images, std::move(captions));
}

std::string lsrl_reward(std::string_view task) { return task == "clip" ? "clip_score" : std::string(task); }

void set_task(rt_shared::TuneSettings& s, const Study& study, std::string_view task) {
  const Settings& o = study.settings;
  s.samples_per_prompt = task == "parity" ? o.parity_samples : o.samples;
  s.batch = o.batch * o.samples / s.samples_per_prompt;
  s.prompts = lsrl_prompts(study, task, false);
  s.rewards = {lsrl_reward(task)};
}

std::vector<rt_shared::TuneTask> lsrl_tasks(const Study& study, const Cell& cell, const rt_shared::TuneSettings& all) {
  if (cell.method != Method::kLsrl && cell.method != Method::kLsrlJoint) return {};
  const std::vector<std::string_view> names =
      cell.method == Method::kLsrlJoint ? lsrl_task_names() : std::vector<std::string_view>{cell.reward};
  std::vector<rt_shared::TuneTask> tasks;
  for (const std::string_view name : names) {
    rt_shared::TuneSettings s = all;
    set_task(s, study, name);
    s.regularizer = rt_shared::RegularizerName::kNone;  // once an update, after all tasks
    rt_shared::ChosenReward reward = rt_shared::make_reward(s);
    rt_shared::complete(s, rt_shared::method_entry(s.method), reward.per_group);
    auto prompts = rt_shared::AnyPrompts::from_file(s.prompts, false, s.seed);
    tasks.push_back({std::string(name), std::move(s), std::move(reward), std::move(prompts)});
  }
  return tasks;
}

}  // namespace rt_reproduce
