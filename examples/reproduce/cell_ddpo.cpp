// Cells of DDPO, alone or with B2-DiffuRL or DiffExp.
#include <reward_tuner/objectives/clipped_ratio.hpp>

#include "policy_cell.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

rt::RunEnd run_ddpo(CellSession& s) {
  return run_policy_cell<rt::ClippedRatio>(s, {.clip = s.study.settings.ratio_clip});
}

}  // namespace rt_reproduce
