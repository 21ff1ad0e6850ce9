// What the defaults of an objective's options depend on beside the options.
#pragma once
#include <cstdint>

namespace reward_tuner {

/// Known at an update: the model's latents, and the other policies.
struct ObjectiveContext {
  std::int64_t latent_size = 0;  ///< D, numbers in the latent of one image, >= 1
  int branches = 1;              ///< branches of a root, 1 without a branching
};

}  // namespace reward_tuner
