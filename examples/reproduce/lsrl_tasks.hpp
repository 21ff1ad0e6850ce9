// The tasks of the lsrl study: rewards, prompts, tuners, and what evaluations of them measure.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <reward_tuner/methods/lsrl.hpp>
#include <reward_tuner/run/captioned_images.hpp>
#include <reward_tuner/tuner/multi_task.hpp>

#include "cell_run.hpp"
#include "lsrl_plan.hpp"

namespace rt_reproduce {

/// Drawn images with true captions.
std::shared_ptr<const reward_tuner::CaptionedImages> pretraining_images(int count);

/// The reward of a task: "clip", "parity" or "composition".
reward_tuner::AnyReward lsrl_reward(std::string_view task, bool leave_one_out,
                                    const std::shared_ptr<const reward_tuner::ClipModel>& clip);

/// Images for the pre-training loss, unless the cell goes without.
inline reward_tuner::MultiTaskOptions multi_task_options(const CellSession& s) {
  const Settings& o = s.study.settings;
  reward_tuner::MultiTaskOptions options{.gradient_clip = o.clip};
  if (s.cell.pretraining) options.pretraining = {.images = pretraining_images(o.pretraining_images), .batch = 8};
  return options;
}

using LsrlTuner = reward_tuner::LSRL<reward_tuner::AnyReward, reward_tuner::Ddim>;

/// A round of a task asks for as many rewards as any other's: few prompts with many images each for parity, more
/// prompts with fewer for the others.
inline reward_tuner::Task<LsrlTuner, reward_tuner::PromptSet> lsrl_task(const CellSession& s, const std::string& name) {
  namespace rt = reward_tuner;
  const Settings& o = s.study.settings;
  const int images = o.batch * o.samples;
  const int samples = name == "parity" ? o.parity_samples : o.samples;
  rt::ClippedRatioOptions objective{.clip = o.ratio_clip,
                                    .round = {.samples_per_prompt = samples, .step_per_timestep = true, .rows = 16}};
  // set one by one: GCC 12 thinks that the images of a braced temporary are not initialized
  LsrlTuner::Options options;
  options.sampler = sampler_options(s);
  options.steps.num_trained = kLsrlTrainedSteps;
  options.objective = objective;
  options.engine = engine_options(s);
  LsrlTuner tuner(lsrl_reward(name, s.cell.leave_one_out, s.pipeline.clip()), options);
  return rt::task(name, std::move(tuner), rt::PromptSet::from_file(lsrl_prompts(s.study, name, false)),
                  images / samples);
}

}  // namespace rt_reproduce
