// BLIP's image-grounded text encoder with its tokenizer and image preprocessing: what a text says of an image, as one
// vector (Li et al. 2022). ImageReward is a head on it.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/models/bert_encoder.hpp>
#include <reward_tuner/models/image_preprocessor.hpp>
#include <reward_tuner/models/vision_transformer.hpp>
#include <reward_tuner/text/word_piece.hpp>

namespace reward_tuner {

/// Settings of both encoders.
struct BlipConfig {
  VisionTransformerConfig vision{};  ///< the image encoder
  BertConfig text{};                 ///< the text encoder
  /// outputs of each layer of what stands on BLIP, as ImageReward's head; empty: not said
  std::vector<std::int64_t> head{};

  /// Reads {"vit": see VisionTransformerConfig, "med_config": BLIP's own file as published, "head": [outputs, ...]}.
  static BlipConfig from_json(const nlohmann::json& json, const std::string& where = "config.json");
};

/// BLIP's two encoders, tokenizer and preprocessing. Parameter names are those of published checkpoints below "blip.".
/// Example: `auto blip = BlipModel::load(folder); Tensor state = blip->joint_state(images, prompts);  // [B,D]`
class BlipModel : public torch::nn::Module {
 public:
  /// Tokens of a text, the start and the end token included: that of ImageReward, whatever model_max_length the
  /// tokenizer's folder says (a note tells if that is less).
  static constexpr std::int64_t kTextLength = 35;

  /// `files` is the vocabulary of bert-base-uncased; [DEC] and [ENC], which BLIP adds to it, are added here.
  /// Errors: a vocabulary of another size than the text encoder's table.
  BlipModel(const BlipConfig& config, WordPieceFiles files);

  /// Reads config.json, the tensors called blip.* (see `find_weights`) and the tokenizer's files in `folder` or
  /// `folder`/tokenizer. Not used, as in ImageReward: the projections vision_proj and text_proj, position_ids, and
  /// everything outside blip.*. Anything missing or unsupported throws. The parameters do not require gradients.
  static std::shared_ptr<BlipModel> load(const std::filesystem::path& folder);

  /// The state of the first token [B,D] of each image [3,H,W] in [0,1] and its prompt. Long prompts lose their end.
  /// Gradient: reaches the images.
  Tensor joint_state(const Tensor& images, const std::vector<std::string>& prompts) const;

  const BlipConfig& config() const { return config_; }
  const WordPieceTokenizer& tokenizer() const { return tokenizer_; }
  /// OpenAI's mean and deviation, shorter edge and center crop as torchvision does them.
  const ImagePreprocessor& preprocessor() const { return preprocessor_; }

 private:
  BlipConfig config_;
  WordPieceTokenizer tokenizer_;
  ImagePreprocessor preprocessor_;
  std::shared_ptr<VisionTransformer> visual_encoder_;
  std::shared_ptr<BertEncoder> text_encoder_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/blip.ipp>
#endif
