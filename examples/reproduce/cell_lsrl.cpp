// Cells of large-scale RL on one task.
#include "lsrl_tasks.hpp"
#include "train_cell.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

rt::RunEnd run_lsrl(CellSession& s) {
  return train_cell(rt::multi_task(multi_task_options(s), lsrl_task(s, s.cell.reward)), s);
}

}  // namespace rt_reproduce
