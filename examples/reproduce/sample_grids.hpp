// Pictures of the tuned models.
#pragma once
#include "cells.hpp"

namespace rt_reproduce {

/// Writes `file` with a row of the untuned model and one of each finished method of Table 1 (first seed): the same prompts and noise in each column.
/// False if no cell of the reward is done.
bool write_sample_grid(const Study& study, const TableReward& reward, const std::filesystem::path& file);

}  // namespace rt_reproduce
