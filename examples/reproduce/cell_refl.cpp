// Cells of ReFL.
#include <reward_tuner/methods/refl.hpp>

#include "train_cell.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

rt::RunEnd run_refl(CellSession& s) {
  return train_cell(rt::make<rt::ReFL, rt::Ddim, rt::KlToReference>(
                        s.reward, {.sampler = sampler_options(s.cell), .steps = {.max_stop = Settings::kReflMaxStop}, .regularizer = regularizer_options(s), .engine = engine_options()}),
                    s);
}

}  // namespace rt_reproduce
