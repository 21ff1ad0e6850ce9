// Cells of DRaFT-LV.
#include <reward_tuner/methods/draft_lv.hpp>

#include "train_cell.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

rt::RunEnd run_draft_lv(CellSession& s) {
  return train_cell(rt::make<rt::DRaFTLV, rt::Ddim, rt::KlToReference>(s.reward, {.sampler = sampler_options(s),
                                                                                  .regularizer = regularizer_options(s),
                                                                                  .engine = engine_options(s)}),
                    s);
}

}  // namespace rt_reproduce
