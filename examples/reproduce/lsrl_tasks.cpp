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

std::vector<rt_shared::TuneTask> lsrl_tasks(const Study& study, const Cell& cell, const rt_shared::TuneSettings& all) {
  const std::vector<std::string> names = cell.method == Method::kLsrlJoint
                                             ? std::vector<std::string>{"clip", "parity", "composition"}
                                             : std::vector<std::string>{cell.reward};
  const Settings& o = study.settings;
  std::vector<rt_shared::TuneTask> tasks;
  for (const std::string& name : names) {
    rt_shared::TuneSettings s = all;
    // a round of a task asks for as many rewards as any other's: few prompts with many images each for parity, more
    // prompts with fewer for the others
    s.samples_per_prompt = name == "parity" ? o.parity_samples : o.samples;
    s.batch = o.batch * o.samples / s.samples_per_prompt;
    s.prompts = lsrl_prompts(study, name, false);
    s.rewards = {lsrl_reward(name)};
    s.regularizer = rt_shared::RegularizerName::kNone;  // once an update, after all tasks
    rt_shared::ChosenReward reward = rt_shared::make_reward(s);
    rt_shared::complete(s, rt_shared::method_entry(s.method), reward.per_group);
    auto prompts = rt_shared::AnyPrompts::from_file(s.prompts, false, s.seed);
    tasks.push_back({name, std::move(s), std::move(reward), std::move(prompts)});
  }
  return tasks;
}

}  // namespace rt_reproduce
