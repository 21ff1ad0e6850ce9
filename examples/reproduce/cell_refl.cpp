// Cells of ReFL.
#include <reward_tuner/methods/refl.hpp>

#include "train_cell.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

rt::RunEnd run_refl(CellSession& s) {
  return train_cell(
      rt::make<rt::ReFL, rt::Ddim, rt::KlToReference>(s.reward, {.sampler = sampler_options(s),
                                                                 .steps = {.max_stop = s.study.settings.refl_max_stop},
                                                                 .regularizer = regularizer_options(s),
                                                                 .engine = engine_options(s)}),
      s);
}

}  // namespace rt_reproduce
