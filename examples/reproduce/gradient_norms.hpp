// Fig. 7: how the gradient's norm grows with the number of trained steps.
#pragma once
#include <examples/shared/tune_session.hpp>

#include "study.hpp"

namespace rt_reproduce {

/// Writes report.json: norms of the LoRA's gradient for each K, with and without stopped inputs, at the same weights
/// and on the same batches.
reward_tuner::RunEnd measure_gradient_norms(const Study& study, rt_shared::TuneSession& session);

}  // namespace rt_reproduce
