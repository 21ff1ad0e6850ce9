// The tasks of the lsrl study: rewards, prompts, and the images of the pre-training loss.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/run/captioned_images.hpp>

#include <examples/shared/tune_session.hpp>

#include "study.hpp"

namespace rt_reproduce {

/// Drawn images with true captions.
std::shared_ptr<const reward_tuner::CaptionedImages> pretraining_images(int count);

/// The reward of a task, "clip", "parity" or "composition", as rt-tune names it.
std::string lsrl_reward(std::string_view task);

/// Puts a task's prompts, reward and round into the settings of a run. A round of a task asks for as many rewards as
/// any other's: few prompts with many images each for parity, more prompts with fewer for the others.
void set_task(rt_shared::TuneSettings& settings, const Study& study, std::string_view task);

/// Of LSRL: the cell's task, or all of them, with settings that are complete; none of other methods. `all`: the
/// settings of the cell.
std::vector<rt_shared::TuneTask> lsrl_tasks(const Study& study, const Cell& cell, const rt_shared::TuneSettings& all);

}  // namespace rt_reproduce
