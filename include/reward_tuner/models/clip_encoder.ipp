// Definitions of clip_encoder.hpp.
#pragma once
#include <reward_tuner/models/clip_encoder.hpp>

#include <ATen/ops/gelu.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>

#include <cmath>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/models/config_limits.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE ClipActivation clip_activation(std::string_view name) {
  if (name == "quick_gelu") return ClipActivation::kQuickGelu;
  if (name == "gelu" || name == "gelu_python") return ClipActivation::kGelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_python_tanh") return ClipActivation::kGeluTanh;
  detail::fail(
      "[CLIP] hidden_act must be quick_gelu, gelu, gelu_python, gelu_new, gelu_pytorch_tanh or gelu_python_tanh, got "
      "\"",
      name, "\"");
}

namespace detail {

REWARD_TUNER_INLINE void check_clip_encoder(const ClipEncoderOptions& o, std::string_view topic) {
  REWARD_TUNER_CHECK(
      o.hidden_size > 0 && o.intermediate_size > 0 && o.num_hidden_layers > 0 && o.num_attention_heads > 0, "[", topic,
      "] sizes must be positive, got hidden_size ", o.hidden_size, ", intermediate_size ", o.intermediate_size,
      ", num_hidden_layers ", o.num_hidden_layers, ", num_attention_heads ", o.num_attention_heads);
  REWARD_TUNER_CHECK(o.hidden_size % o.num_attention_heads == 0, "[", topic,
                     "] hidden_size must be a multiple of num_attention_heads, got ", o.hidden_size, " and ",
                     o.num_attention_heads);
  REWARD_TUNER_CHECK(o.layer_norm_eps >= 0 && std::isfinite(o.layer_norm_eps), "[", topic,
                     "] layer_norm_eps must be >= 0, got ", o.layer_norm_eps);
  const std::string where(topic);
  check_at_most(where, "hidden_size, intermediate_size and num_attention_heads",
                {o.hidden_size, o.intermediate_size, o.num_attention_heads}, 4 * ConfigLimits::kWidth);
  check_at_most(where, "num_hidden_layers", {o.num_hidden_layers}, ConfigLimits::kLayers);
  clip_activation(o.hidden_act);
}

REWARD_TUNER_INLINE void read_clip_encoder(ConfigReader& reader, ClipEncoderOptions& o) {
  o.hidden_size = reader.optional<std::int64_t>("hidden_size", o.hidden_size);
  o.intermediate_size = reader.optional<std::int64_t>("intermediate_size", o.intermediate_size);
  o.num_hidden_layers = reader.optional<std::int64_t>("num_hidden_layers", o.num_hidden_layers);
  o.num_attention_heads = reader.optional<std::int64_t>("num_attention_heads", o.num_attention_heads);
  o.hidden_act = reader.optional<std::string>("hidden_act", o.hidden_act);
  o.layer_norm_eps = reader.optional<double>("layer_norm_eps", o.layer_norm_eps);
}

REWARD_TUNER_INLINE void write_clip_encoder(nlohmann::json& json, const ClipEncoderOptions& o) {
  json["hidden_size"] = o.hidden_size;
  json["intermediate_size"] = o.intermediate_size;
  json["num_hidden_layers"] = o.num_hidden_layers;
  json["num_attention_heads"] = o.num_attention_heads;
  json["hidden_act"] = o.hidden_act;
  json["layer_norm_eps"] = o.layer_norm_eps;
}

REWARD_TUNER_INLINE void ignore_transformers_keys(ConfigReader& reader) {
  reader.ignore({"architectures", "transformers_version", "dtype", "torch_dtype", "tokenizer_class",
                 "gradient_checkpointing", "torchscript", "use_bfloat16", "use_cache", "return_dict",
                 "output_attentions", "output_hidden_states", "attn_implementation"});
  reader.ignore({"attention_dropout", "dropout", "initializer_range", "initializer_factor"});
  reader.ignore({"id2label", "label2id", "num_labels", "problem_type", "finetuning_task", "task_specific_params",
                 "tf_legacy_loss"});
  reader.ignore({"is_decoder", "is_encoder_decoder", "add_cross_attention", "cross_attention_hidden_size",
                 "tie_encoder_decoder", "tie_word_embeddings", "tie_last_hidden_states", "chunk_size_feed_forward",
                 "pruned_heads"});
  reader.ignore({"bad_words_ids",
                 "begin_suppress_tokens",
                 "decoder_start_token_id",
                 "diversity_penalty",
                 "do_sample",
                 "early_stopping",
                 "encoder_no_repeat_ngram_size",
                 "exponential_decay_length_penalty",
                 "forced_bos_token_id",
                 "forced_eos_token_id",
                 "length_penalty",
                 "max_length",
                 "min_length",
                 "no_repeat_ngram_size",
                 "num_beam_groups",
                 "num_beams",
                 "num_return_sequences",
                 "output_scores",
                 "prefix",
                 "remove_invalid_values",
                 "repetition_penalty",
                 "return_dict_in_generate",
                 "sep_token_id",
                 "suppress_tokens",
                 "temperature",
                 "top_k",
                 "top_p",
                 "typical_p"});
}

}  // namespace detail

REWARD_TUNER_INLINE ClipAttention::ClipAttention(const ClipEncoderOptions& o)
    : heads_(o.num_attention_heads), width_(o.hidden_size / o.num_attention_heads) {
  k_proj_ = register_module("k_proj", std::make_shared<Linear>(o.hidden_size, o.hidden_size));
  v_proj_ = register_module("v_proj", std::make_shared<Linear>(o.hidden_size, o.hidden_size));
  q_proj_ = register_module("q_proj", std::make_shared<Linear>(o.hidden_size, o.hidden_size));
  out_proj_ = register_module("out_proj", std::make_shared<Linear>(o.hidden_size, o.hidden_size));
}

REWARD_TUNER_INLINE Tensor ClipAttention::forward(const Tensor& x, const Tensor& mask) const {
  const auto split = [&](const Tensor& y) { return y.view({x.size(0), x.size(1), heads_, width_}).transpose(1, 2); };
  const Tensor q = split(q_proj_->forward(x)) / std::sqrt(static_cast<double>(width_));  // [B,heads,L,D/heads]
  const Tensor k = split(k_proj_->forward(x));                                           // [B,heads,L,D/heads]
  const Tensor v = split(v_proj_->forward(x));                                           // [B,heads,L,D/heads]
  Tensor scores = at::matmul(q, k.transpose(-1, -2));                                    // [B,heads,L,L]
  if (mask.defined()) scores = scores + mask;                                            // [B,heads,L,L]
  const Tensor mixed = at::matmul(at::softmax(scores, -1), v);                           // [B,heads,L,D/heads]
  return out_proj_->forward(mixed.transpose(1, 2).reshape(x.sizes()));                   // [B,L,D]
}

REWARD_TUNER_INLINE ClipMlp::ClipMlp(const ClipEncoderOptions& o) : activation_(clip_activation(o.hidden_act)) {
  fc1_ = register_module("fc1", std::make_shared<Linear>(o.hidden_size, o.intermediate_size));
  fc2_ = register_module("fc2", std::make_shared<Linear>(o.intermediate_size, o.hidden_size));
}

REWARD_TUNER_INLINE Tensor ClipMlp::activate(const Tensor& x) const {
  switch (activation_) {
    case ClipActivation::kQuickGelu:
      return x * at::sigmoid(1.702 * x);
    case ClipActivation::kGelu:
      return at::gelu(x);
    case ClipActivation::kGeluTanh:
      break;
  }
  return at::gelu(x, "tanh");
}

REWARD_TUNER_INLINE ClipEncoderLayer::ClipEncoderLayer(const ClipEncoderOptions& o) {
  self_attn_ = register_module("self_attn", std::make_shared<ClipAttention>(o));
  layer_norm1_ = register_module("layer_norm1", std::make_shared<LayerNorm>(o.hidden_size, o.layer_norm_eps));
  mlp_ = register_module("mlp", std::make_shared<ClipMlp>(o));
  layer_norm2_ = register_module("layer_norm2", std::make_shared<LayerNorm>(o.hidden_size, o.layer_norm_eps));
}

REWARD_TUNER_INLINE Tensor ClipEncoderLayer::forward(const Tensor& x, const Tensor& mask) const {
  const Tensor attended = x + self_attn_->forward(layer_norm1_->forward(x), mask);  // [B,L,D]
  return attended + mlp_->forward(layer_norm2_->forward(attended));                 // [B,L,D]
}

REWARD_TUNER_INLINE ClipEncoder::ClipEncoder(const ClipEncoderOptions& o) {
  layers_ = register_module("layers", std::make_shared<ModuleListOf<ClipEncoderLayer>>());
  for (std::int64_t i = 0; i < o.num_hidden_layers; ++i) layers_->emplace_back(o);
}

REWARD_TUNER_INLINE std::vector<Tensor> ClipEncoder::forward(const Tensor& x, const Tensor& mask) const {
  std::vector<Tensor> states{x};
  states.reserve(layers_->size() + 1);
  for (const auto& layer : *layers_) states.push_back(layer->forward(states.back(), mask));
  return states;
}

}  // namespace reward_tuner
