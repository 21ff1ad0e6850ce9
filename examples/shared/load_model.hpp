// The model that the settings name: the same in tune, sample and evaluate.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>

#include "tune_settings.hpp"

namespace rt_shared {

struct LoadedModel {
  rt::StableDiffusion pipeline;
  std::vector<rt::Lora> loras;  ///< of --lora: parts of the model
};

/// Loads --model on --device in --dtype, with --variant, --tokenizer, --prediction, --negative, the sizes, the memory
/// switches and every --lora. A LoRA without effect is worth a line on stderr.
LoadedModel load_model(const TuneSettings& s);

/// Prompts of which the text encoder does not read all.
class CutPrompts {
 public:
  explicit CutPrompts(const rt::StableDiffusion& pipeline) : pipeline_(pipeline) {}
  void add(const std::string& prompt);

  /// Notes the words that are lost of each of the first few, then the number of the others.
  void note_each() const;
  /// One note on all of them with their number and the words that the first one loses, or none. `where`: "prompts in
  /// FILE".
  void note_number(const std::string& where) const;

 private:
  static constexpr std::size_t kShown = 10;

  const rt::StableDiffusion& pipeline_;
  std::size_t seen_ = 0, cut_ = 0;
  std::vector<std::string> lost_;  // of the first ones
};

}  // namespace rt_shared
