// The whole CLIP model: texts and images to unit vectors in one space, whose dot product is the CLIP score.
#pragma once
#include <ATen/ops/linalg_vector_norm.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/models/image_preprocessor.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/clip_tokenizer.hpp>
#include <reward_tuner/models/clip_vision.hpp>
#include <reward_tuner/models/layers.hpp>

namespace reward_tuner {

/// Settings of both towers and of the joint space.
struct ClipConfig {
  ClipTextConfig text{};              ///< the text tower
  ClipVisionConfig vision{};          ///< the vision tower
  std::int64_t projection_dim = 512;  ///< width P of the joint space

  /// `from_json` of a file, which errors name.
  static ClipConfig load(const std::filesystem::path& file);

  /// Reads transformers' config.json of a CLIPModel, with nested text_config and vision_config.
  static ClipConfig from_json(const nlohmann::json& json, const std::string& where = "config.json");

 private:
  /// The nested config. Where a file of transformers 4 also has a "..._dict", that one and the defaults replace it, as
  /// in transformers.
  static nlohmann::json part(ConfigReader& reader, const nlohmann::json& json, const std::string& key);
};

/// transformers' CLIPModel with its tokenizer and image preprocessing. Parameter names are those of published
/// checkpoints.
/// Example: `auto clip = ClipModel::load(folder); auto score = (clip->image_features(images) *
/// clip->text_features(prompts)).sum(-1);  // [B]`
class ClipModel : public torch::nn::Module {
 public:
  ClipModel(ClipConfig config, ClipTokenizer tokenizer, ImagePreprocessor preprocessor);

  /// Reads config.json, the weights (see `find_weights`), the image processor's settings (see ImagePreprocessorOptions::load;
  /// OpenAI's values at the tower's image_size where there are none), and the tokenizer's files in `folder` or
  /// `folder`/tokenizer. Anything missing or unsupported throws. The parameters do not require gradients.
  static std::shared_ptr<ClipModel> load(const std::filesystem::path& folder, const std::string& variant = "");

  /// Unit vectors [B,P] of the prompts, on the model's device. Long prompts lose their end.
  Tensor text_features(const std::vector<std::string>& prompts) const;

  /// Unit vectors [B,P] of images [B,3,H,W] in [0,1]. Differentiable in the images.
  Tensor image_features(const Tensor& images) const { return unit(image_embeddings(images)); }

  /// The same before they are brought to length 1.
  Tensor image_embeddings(const Tensor& images) const;

  /// Factor that CLIP's training puts on the cosine similarity, exp(logit_scale); 0-d. PickScore-like rewards use it.
  Tensor scale() const { return logit_scale_.exp(); }

  const ClipConfig& config() const { return config_; }
  const ClipTokenizer& tokenizer() const { return tokenizer_; }
  const ImagePreprocessor& preprocessor() const { return preprocessor_; }

 private:
  static Tensor unit(const Tensor& x) { return x / at::linalg_vector_norm(x, 2, {-1}, /*keepdim=*/true); }

  ClipConfig config_;
  ClipTokenizer tokenizer_;
  ImagePreprocessor preprocessor_;
  std::shared_ptr<ClipTextTransformer> text_model_;
  std::shared_ptr<ClipVisionTransformer> vision_model_;
  std::shared_ptr<Linear> text_projection_, visual_projection_;
  Tensor logit_scale_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/clip.ipp>
#endif
