// A whole model in one file of the original layout: which family it is of, its configurations, and each part's weights
// under our names.
#pragma once
#include <torch/nn/module.h>

#include <filesystem>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights_source.hpp>
#include <reward_tuner/models/known_configurations.hpp>
#include <reward_tuner/models/original_layout.hpp>

namespace reward_tuner {

/// The family of a file, by the names and shapes of its tensors; no value is read.
/// Errors: what else the file is, by name: the SDXL refiner, SD 3, inpainting, ControlNet, a LoRA, a part alone, ...
ModelFamily recognize_family(const SafetensorsFile& file);

/// What the network of a file predicts, as the file itself says: by the modelspec.prediction_type of its header, by the
/// mark v_pred that trainers put into files of velocity models, or by global_step (875,000 steps are Stable Diffusion 2
/// base, as diffusers has it). Nothing for a file that does not say.
std::optional<PredictionType> told_prediction(const SafetensorsFile& file, ModelFamily family);

/// An open single file.
/// Configurations are those of config/ beside it, a diffusers folder (weights in it are not read), or else the
/// published model's of its family (see known_configurations.hpp).
class SingleFile {
 public:
  /// Maps and recognizes the file. `prediction` is what its network predicts, where neither config/ nor the file says;
  /// unset, SD 1 and SDXL predict the noise.
  /// Errors: those of recognize_family; an SD 2 file without config/ that does not say what it predicts, without
  /// `prediction`; a `prediction` that config/ or the file contradicts.
  static SingleFile open(const std::filesystem::path& path, std::optional<PredictionType> prediction = std::nullopt);

  ModelFamily family() const { return family_; }
  const SafetensorsFile& file() const { return file_; }
  /// config/ beside the file; empty if there is none.
  const std::filesystem::path& config_folder() const { return config_folder_; }

  /// "model_index", "scheduler", "unet", "vae", "text_encoder" or "text_encoder_2"; null where the family has no such
  /// part. Errors: a file that config/ lacks.
  nlohmann::json config(const std::string& part) const;
  /// Where config(part) is from, for errors: a path, or "the known configuration of ... (unet)".
  std::string where(const std::string& part) const;

  /// A part's weights by the names of `network`, views of the mapped file. A name that the file lacks is left out, and
  /// what the part holds beyond the network comes under the file's own key: load_weights tells both. Left out without a
  /// word is what no network needs: position ids, scales of logits, a text encoder's last block and projection that
  /// Stable Diffusion 2 does not use, losses of the VAE's training.
  WeightsSource weights(const std::string& part, const torch::nn::Module& network) const;

 private:
  SingleFile(SafetensorsFile file, ModelFamily family) : file_(std::move(file)), family_(family) {}

  /// Says what of the file no part of the model is.
  void note_rest() const;

  SafetensorsFile file_;
  ModelFamily family_;
  std::filesystem::path config_folder_{};
  std::optional<PredictionType> prediction_{};  // without config/: always
};

namespace detail {

/// The published model whose configuration a file of the family has.
KnownModel known_model(ModelFamily family, PredictionType prediction);

/// A prediction as scheduler_config.json spells it.
const char* prediction_word(PredictionType prediction);

/// Where a diffusers folder has a part's configuration; "model_index" is its own.
std::filesystem::path config_file(const std::filesystem::path& folder, const std::string& part);

}  // namespace detail

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/single_file.ipp>
#endif
