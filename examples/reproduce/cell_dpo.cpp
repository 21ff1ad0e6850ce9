// Cells of online DPO, alone or with B2-DiffuRL's window.
#include <reward_tuner/objectives/preference.hpp>

#include "policy_cell.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

/// On means over elements, where D3PO's 0.1 on sums would hardly move the loss.
constexpr double kBeta = 100;

rt::RunEnd run_dpo(CellSession& s) { return run_policy_cell<rt::Preference>(s, {.beta = kBeta}); }

}  // namespace rt_reproduce
