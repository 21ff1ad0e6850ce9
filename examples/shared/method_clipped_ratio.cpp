// ddpo, grpo, b2-ddpo and lsrl on one task: the clipped ratio.
#include <reward_tuner/objectives/clipped_ratio.hpp>

#include "sampled_method.hpp"

namespace rt_shared {
namespace {

const RegisteredUnit clipped_ratio_unit(MethodUnit::kClippedRatio, [](TuneSession& s) {
  return train_on_log_probs<rt::ClippedRatio>(s, {.clip = s.settings.clip_range, .clip_nats = s.settings.clip_nats});
});

}  // namespace
}  // namespace rt_shared
