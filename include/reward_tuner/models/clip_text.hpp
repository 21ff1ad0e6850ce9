// CLIP's text tower, with or without the projection into the joint space: the text encoders of SD 1, SD 2 and SDXL and
// of CLIP scores.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/models/clip_encoder.hpp>
#include <reward_tuner/models/layers.hpp>

namespace reward_tuner {

/// Settings of a text tower; the defaults are those of transformers' CLIPTextConfig.
struct ClipTextConfig : ClipEncoderOptions {
  std::int64_t vocab_size = 49408;            ///< rows of the token table
  std::int64_t max_position_embeddings = 77;  ///< longest sequence
  std::int64_t projection_dim = 512;          ///< width P of the joint space, used with a projection
  /// where the sequence is pooled; 2 means "at the largest id", as in checkpoints from before 2023
  std::int64_t eos_token_id = 49407;

  /// `from_json` of a file, which errors name.
  static ClipTextConfig load(const std::filesystem::path& file);

  /// Reads transformers' config.json; unknown keys and unsupported values throw. Both transformers 4 and 5 files are
  /// understood.
  static ClipTextConfig from_json(const nlohmann::json& json, const std::string& where = "text_encoder/config.json");

  nlohmann::json to_json() const;

  /// Throws unless the sizes fit together.
  void check() const;
};

/// What the text tower returns.
struct ClipTextOutput {
  Tensor last_hidden_state;  ///< [B,L,D] after the final layer norm: the condition of SD 1 and SD 2
  Tensor pooler_output;      ///< [B,D] the row of last_hidden_state at the end-of-text token
  Tensor text_embeds;        ///< [B,P] its projection; undefined in a model without projection. Not normalized
  /// embeddings, then every layer's output BEFORE the final norm: layers + 1 of [B,L,D]. SDXL takes the last but one
  std::vector<Tensor> hidden_states;
};

/// Token and position tables.  ids int64 [B,L] -> [B,L,D]
class ClipTextEmbeddings : public torch::nn::Module {
 public:
  explicit ClipTextEmbeddings(const ClipTextConfig& c);
  Tensor forward(const Tensor& ids) const;

 private:
  std::shared_ptr<Embedding> token_embedding_, position_embedding_;
};

/// The tower itself, everything below the `text_model.` prefix.
class ClipTextTransformer : public torch::nn::Module {
 public:
  explicit ClipTextTransformer(ClipTextConfig config);

  ClipTextOutput forward(const Tensor& ids) const;
  const ClipTextConfig& config() const { return config_; }

 private:
  ClipTextConfig config_;
  std::shared_ptr<ClipTextEmbeddings> embeddings_;
  std::shared_ptr<ClipEncoder> encoder_;
  std::shared_ptr<LayerNorm> final_layer_norm_;
};

/// transformers' CLIPTextModel, or CLIPTextModelWithProjection with `with_projection`. Parameter names are those of
/// published checkpoints (`text_model.` prefix). Differentiable in the parameters; ids carry no gradient.
/// Example: `auto out = model.forward(tokenizer({"a cat"}, 77)); out.last_hidden_state  // [1,77,D]`
class ClipTextModel : public torch::nn::Module {
 public:
  explicit ClipTextModel(ClipTextConfig config, bool with_projection = false);

  /// ids int64 [B,L], L at most max_position_embeddings. Attention is causal; padding is not masked, as in Stable
  /// Diffusion.
  ClipTextOutput forward(const Tensor& ids) const;
  const ClipTextConfig& config() const { return text_model_->config(); }
  bool with_projection() const { return text_projection_ != nullptr; }

 private:
  std::shared_ptr<ClipTextTransformer> text_model_;
  std::shared_ptr<Linear> text_projection_;
};

/// The name of a checkpoint key in ClipTextModel, for LoadOptions::rename: adds the `text_model.` prefix that
/// transformers 5 leaves out and skips `position_ids` (empty result), a constant that older versions stored.
std::string clip_text_key(std::string key);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/clip_text.ipp>
#endif
