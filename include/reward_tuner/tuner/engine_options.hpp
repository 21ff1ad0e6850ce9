// Options of the engine itself: how an update is cut, clipped and guarded.
#pragma once
#include <reward_tuner/core/check.hpp>

namespace reward_tuner {

struct EngineOptions {
  int micro_batch = 0;            ///< samples rolled out and differentiated at a time; gradients add up over the batch. 0: the whole batch
  double gradient_clip = 0.1;     ///< largest norm of the whole gradient, scaled down beyond it; 0 switches clipping off (DRTune-paper 4.1: 0.1)
  int max_skipped_in_a_row = 5;   ///< so many non-finite updates one after another are an error
};

inline void check_options(const EngineOptions& o) {
  REWARD_TUNER_CHECK(o.micro_batch >= 0, "[RewardTuner] engine.micro_batch must be >= 0 (0: the whole batch), found ", o.micro_batch);
  REWARD_TUNER_CHECK(o.gradient_clip >= 0, "[RewardTuner] engine.gradient_clip must be >= 0 (0: no clipping), found ", o.gradient_clip);
  REWARD_TUNER_CHECK(o.max_skipped_in_a_row >= 1, "[RewardTuner] engine.max_skipped_in_a_row must be >= 1, found ", o.max_skipped_in_a_row);
}

}  // namespace reward_tuner
