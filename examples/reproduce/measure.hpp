// What every task of the lsrl study makes of a cell's model.
#pragma once
#include "study.hpp"

namespace rt_reproduce {

/// Writes tasks.json into the cell's folder: each task's metrics and the sentinels of its images, "task.metric" ->
/// number, of the model with the cell's adapter (of the untuned model in a cell that trains nothing, which then gets a
/// report.json too). The same prompts and noise for every cell.
void measure_tasks(const Study& study, const Cell& cell);

}  // namespace rt_reproduce
