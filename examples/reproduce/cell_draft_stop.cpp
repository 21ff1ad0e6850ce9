// Cells of DRaFT-K with the gradient stopped at the network's input.
#include <reward_tuner/gradient_stop/stop_input.hpp>
#include <reward_tuner/methods/draft.hpp>

#include "train_cell.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

rt::RunEnd run_draft_stop(CellSession& s) {
  return train_cell(rt::make<rt::DRaFT, rt::Ddim, rt::KlToReference, rt::StopInput>(
                        s.reward, {.sampler = sampler_options(s),
                                   .steps = {.num_trained = s.cell.trained_steps},
                                   .regularizer = regularizer_options(s),
                                   .engine = engine_options(s)}),
                    s);
}

}  // namespace rt_reproduce
