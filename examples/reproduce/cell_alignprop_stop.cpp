// Cells of AlignProp with the gradient stopped at the network's input.
#include <reward_tuner/gradient_stop/stop_input.hpp>
#include <reward_tuner/methods/alignprop.hpp>

#include "train_cell.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

rt::RunEnd run_alignprop_stop(CellSession& s) {
  return train_cell(
      rt::make<rt::AlignProp, rt::Ddim, rt::KlToReference, rt::StopInput>(
          s.reward,
          {.sampler = sampler_options(s), .regularizer = regularizer_options(s), .engine = engine_options(s)}),
      s);
}

}  // namespace rt_reproduce
