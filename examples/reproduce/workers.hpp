// The cells, run by worker processes.
#pragma once
#include "study.hpp"

namespace rt_reproduce {

/// Runs every cell that is not done, `jobs` at a time, each as a process of this program. Shows cells done, total and
/// time left. Returns an exit code: kInterrupted after SIGINT or SIGTERM, which the workers get too and answer with a
/// checkpoint; kFailed if a cell failed (the others are run nevertheless).
int run_cells(const Study& study, int jobs);

}  // namespace rt_reproduce
