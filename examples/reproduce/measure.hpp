// What is measured of a cell's model once it is trained.
#pragma once
#include "study.hpp"

namespace rt_reproduce {

/// Writes measured.json into the cell's folder: metrics and sentinels of images that the model makes with the cell's
/// adapter (of the untuned model in a cell that trains nothing, which then gets a report.json too), "set.metric" ->
/// number. The sets are those of the tasks in the lsrl study ("seen", "unseen", "parity") and "held_out" in others; the
/// cells of one seed share their noise.
void measure(const Study& study, const Cell& cell);

}  // namespace rt_reproduce
