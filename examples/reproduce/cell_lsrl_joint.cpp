// Cells of large-scale RL on all tasks together.
#include "lsrl_tasks.hpp"
#include "train_cell.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

rt::RunEnd run_lsrl_joint(CellSession& s) {
  return train_cell(
      rt::multi_task(multi_task_options(s), lsrl_task(s, "clip"), lsrl_task(s, "parity"), lsrl_task(s, "composition")),
      s);
}

}  // namespace rt_reproduce
