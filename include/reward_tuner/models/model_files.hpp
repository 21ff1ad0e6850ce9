// What a path to a model holds, in whatever layout it lies there: each part's configuration, tokenizer and weights.
#pragma once
#include <torch/nn/module.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/models/single_file.hpp>
#include <reward_tuner/tensor/tensor.hpp>
#include <reward_tuner/text/clip_tokenizer_files.hpp>

namespace reward_tuner {

/// What the files of a model do not decide.
struct ModelFilesOptions {
  std::string variant = "";              ///< of a folder's weights, see find_weights
  std::filesystem::path tokenizer = {};  ///< a tokenizer folder in place of the model's own; empty: that
  /// what a single file's network predicts, see SingleFile::open; of a folder, its scheduler_config.json must agree
  std::optional<PredictionType> prediction = std::nullopt;
};

/// A model's files: a folder as diffusers writes it, or one file in the original layout. Cheap to copy.
class ModelFiles {
 public:
  /// Errors: nothing at the path; those of SingleFile::open; a `prediction` that the folder contradicts; a `variant` of
  /// a single file or that no part has.
  static ModelFiles open(const std::filesystem::path& path, ModelFilesOptions options = {});

  const std::filesystem::path& path() const { return path_; }
  const std::string& variant() const { return options_.variant; }
  /// The single file, or nothing for a folder.
  const std::optional<SingleFile>& single() const { return single_; }

  /// The networks that the model has, of "unet", "vae", "text_encoder" and "text_encoder_2": those with a configuration
  /// that model_index.json does not leave out.
  std::vector<std::string> networks() const;
  /// As SingleFile::config: "model_index", "scheduler" or a network's.
  nlohmann::json config(const std::string& part) const;
  std::string where(const std::string& part) const;

  /// The tokenizer "tokenizer" or "tokenizer_2": of the options' folder, the model's own, or, for a single file without
  /// config/, CLIP's (see clip_vocabulary). The options' folder serves SDXL's second one with "!" as the pad.
  ClipTokenizerFiles tokenizer(const std::string& part) const;
  /// The folder that tokenizer(part) reads; empty where it is not one folder as it stands.
  std::filesystem::path tokenizer_folder(const std::string& part) const;

  /// Copies the part's weights into its network, see load_weights. Text encoders of a folder are rounded to the type
  /// that their configuration names, as transformers reads them.
  void load(const std::string& part, torch::nn::Module& network) const;

  /// The part's weights by the names of its network: views of the mapped files. Errors: those of `load`.
  std::map<std::string, Tensor> tensors(const std::string& part) const;

 private:
  WeightsSource source(const std::string& part, const torch::nn::Module& network) const;

  std::filesystem::path path_;
  ModelFilesOptions options_;
  std::optional<SingleFile> single_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/model_files.ipp>
#endif
