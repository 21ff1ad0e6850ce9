// Cells of DRTune.
#include <reward_tuner/methods/drtune.hpp>

#include "train_cell.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

rt::RunEnd run_drtune(CellSession& s) {
  return train_cell(rt::make<rt::DRTune, rt::Ddim, rt::KlToReference>(
                        s.reward, {.sampler = sampler_options(s),
                                   .steps = {.num_trained = s.cell.trained_steps, .max_early_stop = s.cell.early_stop},
                                   .regularizer = regularizer_options(s),
                                   .engine = engine_options(s)}),
                    s);
}

}  // namespace rt_reproduce
