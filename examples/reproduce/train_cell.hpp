// The run of one tuner in a cell's folder.
#pragma once
#include <reward_tuner/run/trainer.hpp>

#include "cell_run.hpp"

namespace rt_reproduce {

template <class Tuner>
reward_tuner::RunEnd train_cell(Tuner tuner, CellSession& s) {
  reward_tuner::Trainer trainer(tuner, s.pipeline, s.optimizer, s.prompts,
                                {s.folder, s.weights, s.held_out, s.description}, s.trainer);
  return trainer.run().end;
}

}  // namespace rt_reproduce
