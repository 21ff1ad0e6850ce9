// The signal meter as a command: which steps carry a reward's gradient, and which drown it.
#pragma once
#include <filesystem>

#include <examples/shared/tune_settings.hpp>

namespace rt_reproduce {

struct ProfileSettings : rt_shared::TuneSettings {
  int batches = 32;                  ///< independent measurements
  std::filesystem::path json, plot;  ///< where to write; empty: nowhere
};

/// Defaults: the shipped model, composition of two objects, 10 steps of DDIM with eta 1 and without guidance, a LoRA of
/// rank 8 on all layers.
ProfileSettings profile_settings();

/// Measures, prints a table and writes --json and --plot. Errors: those of step_gradients(); before any work a
/// --reward-model that the reward does not use, and steps without noise.
void profile(const ProfileSettings& settings);

}  // namespace rt_reproduce
