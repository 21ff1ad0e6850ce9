// Cells of DPOK, alone or with B2-DiffuRL.
#include <reward_tuner/objectives/kl_regularized.hpp>

#include "policy_cell.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

rt::RunEnd run_dpok(CellSession& s) {
  return run_policy_cell<rt::KlRegularized>(s, {.clip = s.study.settings.ratio_clip});
}

}  // namespace rt_reproduce
