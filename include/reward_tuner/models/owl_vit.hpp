// OWL-ViT: how surely each patch of an image shows what a text names (Minderer et al. 2022), on CLIP's two towers.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/clip_vision.hpp>
#include <reward_tuner/models/image_preprocessor.hpp>
#include <reward_tuner/models/layers.hpp>
#include <reward_tuner/text/clip_tokenizer.hpp>

namespace reward_tuner {

/// Settings of both towers; texts are pooled at their largest id, whatever the file says, as in transformers.
struct OwlVitConfig {
  ClipTextConfig text{};            ///< the text tower; sequences of 16 in published models
  ClipVisionConfig vision{};        ///< the vision tower; 768 or 840 pixels in published models
  std::int64_t projection_dim = 0;  ///< width of a query's vector, that of the text tower

  /// Reads transformers' config.json of an OwlViTForObjectDetection, with nested text_config and vision_config.
  /// Errors: another model, unknown keys, a projection_dim that is not the text tower's width.
  static OwlVitConfig from_json(const nlohmann::json& json, const std::string& where = "config.json");
};

/// transformers' OwlViTForObjectDetection without its boxes, with tokenizer and image preprocessing.
/// Example: `auto owl = OwlVitModel::load(folder); Tensor logits = owl->logits(owl->patches(images),
/// owl->queries({"a photo of a cat"}).expand({images.size(0), -1, -1}));  // [B,N,1]`
class OwlVitModel : public torch::nn::Module {
 public:
  OwlVitModel(OwlVitConfig config, ClipTokenizer tokenizer, ImagePreprocessor preprocessor);

  /// Reads config.json, the weights (see `find_weights`), the image processor's settings
  /// (ImagePreprocessorOptions::load; the tower's image_size and OpenAI's values where there are none), and the
  /// tokenizer's files in `folder` or `folder`/tokenizer. Not used: box_head and what only CLIP's own score needs
  /// (visual_projection, logit_scale), position_ids. Anything missing or unsupported throws. The parameters do not
  /// require gradients.
  static std::shared_ptr<OwlVitModel> load(const std::filesystem::path& folder);

  /// Unit vectors [1,Q,D] of texts, on the model's device. Long texts lose their end.
  Tensor queries(const std::vector<std::string>& texts) const;

  /// What is seen at the N patches of images [B,3,H,W] in [0,1]: [B,N,W]. Gradient: reaches the images.
  Tensor patches(const Tensor& images) const;

  /// (cos(patch, query) + shift) * (elu(scale) + 1), shift and scale linear in the patch; a sigmoid makes it a
  /// probability.  patches [B,N,W], queries [B,Q,D] -> [B,N,Q]
  Tensor logits(const Tensor& patches, const Tensor& queries) const;

  const OwlVitConfig& config() const { return config_; }
  const ClipTokenizer& tokenizer() const { return tokenizer_; }
  const ImagePreprocessor& preprocessor() const { return preprocessor_; }

 private:
  /// To length 1 - almost: 1e-6 is added to the length, as in transformers.
  static Tensor almost_unit(const Tensor& x);

  OwlVitConfig config_;
  ClipTokenizer tokenizer_;
  ImagePreprocessor preprocessor_;
  std::shared_ptr<ClipTextTransformer> text_model_;
  std::shared_ptr<ClipVisionTransformer> vision_model_;
  std::shared_ptr<Linear> text_projection_, class_dense_, shift_, scale_;
  std::shared_ptr<LayerNorm> layer_norm_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/owl_vit.ipp>
#endif
