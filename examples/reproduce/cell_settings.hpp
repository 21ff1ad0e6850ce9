// A cell as settings of rt-tune: a method of its table, and what the study says otherwise.
#pragma once
#include <examples/shared/tune_settings.hpp>

#include "study.hpp"

namespace rt_reproduce {

/// Of DPO, on means over elements, where D3PO's 0.1 on sums would hardly move the loss.
inline constexpr double kPreferenceBeta = 100;
/// Deviations from which on a branch is trained; of DPO, where a pair is a pair, 0.
inline constexpr double kBranchThreshold = 0.5;
/// Share of the planned updates that explore.
inline constexpr double kExploreShare = 0.75;

/// The settings as a user of rt-tune would give them; defaults are left open. Not for cells that train nothing.
rt_shared::TuneSettings cell_settings(const Study& study, const Cell& cell);

}  // namespace rt_reproduce
