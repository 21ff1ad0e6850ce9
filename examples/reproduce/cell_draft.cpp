// Cells of DRaFT-K.
#include <reward_tuner/methods/draft.hpp>

#include "train_cell.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

rt::RunEnd run_draft(CellSession& s) {
  return train_cell(
      rt::make<rt::DRaFT, rt::Ddim, rt::KlToReference>(s.reward, {.sampler = sampler_options(s),
                                                                  .steps = {.num_trained = s.cell.trained_steps},
                                                                  .regularizer = regularizer_options(s),
                                                                  .engine = engine_options(s)}),
      s);
}

}  // namespace rt_reproduce
