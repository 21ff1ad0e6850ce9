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
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/clip_vision.hpp>
#include <reward_tuner/models/image_preprocessor.hpp>
#include <reward_tuner/models/layers.hpp>
#include <reward_tuner/text/clip_tokenizer.hpp>

namespace reward_tuner {

/// Which library has published a CLIP model: how its folder names weights and settings, and how its tokenizer pads.
enum class ClipLayout {
  kTransformers,  ///< transformers' CLIPModel
  kOpenClip,      ///< open_clip; see open_clip_layout.hpp
};

/// Settings of both towers and of the joint space.
struct ClipConfig {
  ClipTextConfig text{};              ///< the text tower
  ClipVisionConfig vision{};          ///< the vision tower
  std::int64_t projection_dim = 512;  ///< width P of the joint space
  ClipLayout layout =
      ClipLayout::kTransformers;  ///< of the folder; decides how texts are read too (ClipTokenizerStyle)

  /// `from_json` of a file, which errors name.
  static ClipConfig load(const std::filesystem::path& file);

  /// Reads transformers' config.json of a CLIPModel, with nested text_config and vision_config, or one of open_clip's
  /// (see open_clip_config).
  static ClipConfig from_json(const nlohmann::json& json, const std::string& where = "config.json");

 private:
  /// The nested config. Where a file of transformers 4 also has a "..._dict", that one and the defaults replace it, as
  /// in transformers.
  static nlohmann::json part(ConfigReader& reader, const nlohmann::json& json, const std::string& key);
};

/// A whole CLIP with its tokenizer and image preprocessing, whichever library published it. Parameter names are those
/// of transformers' CLIPModel.
/// Example: `auto clip = ClipModel::load(folder); auto score = (clip->image_features(images) *
/// clip->text_features(prompts)).sum(-1);  // [B]`
class ClipModel : public torch::nn::Module {
 public:
  ClipModel(ClipConfig config, ClipTokenizer tokenizer, ImagePreprocessor preprocessor);

  /// Reads config.json in either layout or else open_clip_config.json, the weights (see `find_weights`; open_clip's are
  /// open_clip_model.safetensors beside the latter), the image processor's settings (transformers':
  /// ImagePreprocessorOptions::load, OpenAI's values at the tower's image_size where there are none; open_clip's:
  /// open_clip_preprocessing), and the tokenizer's files in `folder` or `folder`/tokenizer, OpenAI's vocabulary where
  /// there are none and it has the model's size. Anything else that is missing or unsupported throws. The parameters do
  /// not require gradients.
  static std::shared_ptr<ClipModel> load(const std::filesystem::path& folder, const std::string& variant = "");

  /// Unit vectors [B,P] of the prompts, on the model's device. Long prompts lose their end.
  Tensor text_features(const std::vector<std::string>& prompts) const;

  /// Unit vectors [B,P] of images [B,3,H,W] in [0,1]. Differentiable in the images.
  Tensor image_features(const Tensor& images) const { return pixel_features(preprocessor_(images)); }

  /// The same of images that are made ready already, [B,3,S,S] with the tower's S.
  Tensor pixel_features(const Tensor& pixels) const { return unit(pixel_embeddings(pixels)); }

  /// Vectors of images before they are brought to length 1.
  Tensor image_embeddings(const Tensor& images) const { return pixel_embeddings(preprocessor_(images)); }

  /// Factor that CLIP's training puts on the cosine similarity, exp(logit_scale); 0-d. PickScore-like rewards use it.
  Tensor scale() const { return logit_scale_.exp(); }

  const ClipConfig& config() const { return config_; }
  const ClipTokenizer& tokenizer() const { return tokenizer_; }
  const ImagePreprocessor& preprocessor() const { return preprocessor_; }

 private:
  Tensor pixel_embeddings(const Tensor& pixels) const;
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
