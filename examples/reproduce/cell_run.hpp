// The run of one cell.
#pragma once
#include "study.hpp"

namespace rt_reproduce {

/// Exit codes of the program.
inline constexpr int kDone = 0, kFailed = 1, kUsage = 2, kInterrupted = 130;

/// Runs one cell in its folder: not at all if it is done, from its last checkpoint if it was begun. Returns an exit
/// code.
int run_cell(const Study& study, const Cell& cell);

}  // namespace rt_reproduce
