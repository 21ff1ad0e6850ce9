// Cells of the plain policy gradient, alone or with B2-DiffuRL.
#include <reward_tuner/objectives/reinforce.hpp>

#include "policy_cell.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

rt::RunEnd run_policy_gradient(CellSession& s) { return run_policy_cell<rt::Reinforce>(s, {}); }

}  // namespace rt_reproduce
