// The plan of the lsrl study: tasks alone, tasks together, and the pre-training loss.
#pragma once
#include <vector>

#include "study.hpp"

namespace rt_reproduce {

Study make_lsrl_study(bool quick);
std::vector<Group> lsrl_groups();
/// T of all cells, and how many of the steps are trained an update.
inline constexpr int kLsrlSteps = 4, kLsrlTrainedSteps = 2;

/// Prompts of a task ("clip", "parity", "composition"): those of its training, or those it is measured on.
std::filesystem::path lsrl_prompts(const Study& study, std::string_view task, bool held_out);

}  // namespace rt_reproduce
