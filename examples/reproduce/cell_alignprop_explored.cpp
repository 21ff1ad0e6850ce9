// Cells of AlignProp with DiffExp's explorations, or none.
#include <reward_tuner/methods/alignprop.hpp>

#include "diffexp_plan.hpp"
#include "policy_cell.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

rt::RunEnd run_alignprop_explored(CellSession& s) {
  auto exploration = exploration_options(s);
  exploration.span.updates *= kAlignpropUpdates;
  return train_cell(
      rt::make<rt::AlignProp, rt::Ddim, rt::DiffExp>(
          s.reward, {.sampler = sampler_options(s), .exploration = exploration, .engine = engine_options(s)}),
      s);
}

}  // namespace rt_reproduce
