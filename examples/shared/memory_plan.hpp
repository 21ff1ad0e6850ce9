// What a run takes of memory, from the configurations and the headers of the model's files alone, and which settings
// make it less.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/engine/update_sketch.hpp>

#include "method_table.hpp"
#include "rewards.hpp"

namespace rt_shared {

/// A model, folder or file, whose weights are not read.
struct ModelOutline {
  rt::UNet2DConditionConfig unet;
  rt::AutoencoderKLConfig vae;
  std::vector<rt::ClipTextConfig> text;
  std::optional<rt::ClipVisionConfig> judge;               ///< of clip/, if there is one
  std::map<std::string, std::int64_t> numbers;             ///< in the weights of each part: "unet", "vae", ..., "clip"
  std::map<std::string, std::vector<std::string>> layers;  ///< paths that a LoRA can adapt: "unet", "text_encoder"

  /// The model that --model, --variant, --tokenizer and --prediction name. Errors: those of ModelFiles.
  static ModelOutline read(const TuneSettings& s);
};

/// What a run takes, in bytes.
struct MemoryPlan {
  std::vector<std::pair<std::string, std::int64_t>> held;  ///< what is there between updates, by name
  rt::UpdateMemory update;

  std::int64_t held_bytes() const;
  std::int64_t total() const { return held_bytes() + update.peak; }
};

/// Where a run computes.
struct PlanDevice {
  bool cpu = true;
  int threads = 1;
  std::int64_t element = 4;  ///< bytes of a number in frozen weights, but for a VAE that asks for float32
};

/// The plan of one task's settings, which are complete (defaults.hpp).
/// Errors: a size that the VAE does not divide or that is not known, a reward that needs a CLIP which is not there.
MemoryPlan memory_plan(const ModelOutline& model, const TuneSettings& s, const MethodEntry& method,
                       const ChosenReward& reward, const PlanDevice& device);

/// Settings that take less, or are faster for more.
struct MemorySwitch {
  std::string flags;      ///< "--memory replay --decode-batch 1"
  TuneSettings settings;  ///< with them
};
/// From the fastest to the smallest, the given settings first. `beside` is what an update may take of `size`.
std::vector<MemorySwitch> memory_switches(const TuneSettings& s, const MethodEntry& method,
                                          std::optional<std::int64_t> beside);

}  // namespace rt_shared
