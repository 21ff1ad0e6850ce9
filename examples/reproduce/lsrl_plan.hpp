// The plan of the lsrl study: tasks alone, tasks together, the pre-training loss, and other methods on each task.
#pragma once
#include <string_view>
#include <vector>

#include "study.hpp"

namespace rt_reproduce {

Study make_lsrl_study(bool quick);
std::vector<Group> lsrl_groups();
/// T of all cells, and how many of the steps that are not left out LSRL trains an update.
inline constexpr int kLsrlSteps = 10, kLsrlTrainedSteps = 2;
/// RAFT trains the best of so many images of a prompt, at so many noise levels.
inline constexpr int kRaftImages = 8, kRaftNoisings = 8;
/// Learning rates of RAFT and reward-weighted training; temperature, noise levels and share of the pre-training loss of
/// the latter.
inline constexpr double kRaftLearningRate = 2e-4, kWeightedLearningRate = 3e-4, kWeightedTemperature = 0.1,
                        kWeightedPretraining = 0.5;
inline constexpr int kWeightedNoisings = 4;

/// The tasks: "clip", "parity", "composition".
const std::vector<std::string_view>& lsrl_task_names();
/// Prompts of a task, "clip" and "composition" have the same: those of its training, or those it is measured on.
std::filesystem::path lsrl_prompts(const Study& study, std::string_view task, bool held_out);

}  // namespace rt_reproduce
