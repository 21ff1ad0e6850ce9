// The transformer encoder that CLIP's text and vision towers share (Radford et al. 2021). Names follow transformers'
// CLIP modules.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/models/layers.hpp>

namespace reward_tuner {

/// The activations that CLIP checkpoints use.
enum class ClipActivation {
  kQuickGelu,  ///< x * sigmoid(1.702 x): OpenAI's checkpoints
  kGelu,       ///< x * Phi(x), the exact Gaussian form: OpenCLIP's checkpoints
  kGeluTanh,   ///< the tanh approximation of gelu
};

/// The activation that a config's `hidden_act` names; throws for any other name.
ClipActivation clip_activation(std::string_view name);

/// Shape of an encoder.
struct ClipEncoderOptions {
  std::int64_t hidden_size = 512;         ///< width D of the residual stream
  std::int64_t intermediate_size = 2048;  ///< width of the MLP's hidden layer
  std::int64_t num_hidden_layers = 12;    ///< number of layers
  std::int64_t num_attention_heads = 8;   ///< heads; must divide hidden_size
  std::string hidden_act = "quick_gelu";  ///< see `clip_activation`
  double layer_norm_eps = 1e-5;           ///< added to the variance in every layer norm
};

namespace detail {

void check_clip_encoder(const ClipEncoderOptions& o, std::string_view topic);

/// The keys both towers read in the same way.
void read_clip_encoder(ConfigReader& reader, ClipEncoderOptions& o);

void write_clip_encoder(nlohmann::json& json, const ClipEncoderOptions& o);

/// Keys that transformers 4 and 5 write for every model and that cannot change a CLIP forward pass: bookkeeping, text
/// generation, classification heads, initialization, and dropout, which evaluation switches off.
void ignore_transformers_keys(ConfigReader& reader);

inline bool ends_with_position_ids(std::string_view key) { return key.ends_with("position_ids"); }

}  // namespace detail

/// Multi-head self-attention.  x [B,L,D] -> [B,L,D]
class ClipAttention : public torch::nn::Module {
 public:
  explicit ClipAttention(const ClipEncoderOptions& o);

  /// `mask` [L,L] is added to the scores: 0 keeps a pair, -inf removes it; undefined keeps all.
  Tensor forward(const Tensor& x, const Tensor& mask) const;

 private:
  std::int64_t heads_, width_;
  std::shared_ptr<Linear> k_proj_, v_proj_, q_proj_, out_proj_;
};

/// Two linear layers with an activation between.  x [B,L,D] -> [B,L,D]
class ClipMlp : public torch::nn::Module {
 public:
  explicit ClipMlp(const ClipEncoderOptions& o);
  Tensor forward(const Tensor& x) const { return fc2_->forward(activate(fc1_->forward(x))); }

 private:
  Tensor activate(const Tensor& x) const;
  ClipActivation activation_;
  std::shared_ptr<Linear> fc1_, fc2_;
};

/// Attention and MLP, each behind a layer norm and added to the residual stream.  x [B,L,D] -> [B,L,D]
class ClipEncoderLayer : public torch::nn::Module {
 public:
  explicit ClipEncoderLayer(const ClipEncoderOptions& o);
  Tensor forward(const Tensor& x, const Tensor& mask) const;

 private:
  std::shared_ptr<ClipAttention> self_attn_;
  std::shared_ptr<LayerNorm> layer_norm1_, layer_norm2_;
  std::shared_ptr<ClipMlp> mlp_;
};

/// The stack of layers.  Returns the input followed by every layer's output: num_hidden_layers + 1 tensors [B,L,D].
class ClipEncoder : public torch::nn::Module {
 public:
  explicit ClipEncoder(const ClipEncoderOptions& o);
  std::vector<Tensor> forward(const Tensor& x, const Tensor& mask = {}) const;

 private:
  std::shared_ptr<ModuleListOf<ClipEncoderLayer>> layers_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/clip_encoder.ipp>
#endif
