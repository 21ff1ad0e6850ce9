// Definitions of bert_encoder.hpp.
#pragma once
#include <reward_tuner/models/bert_encoder.hpp>

#include <ATen/ops/gelu.h>

#include <cmath>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/layers/dot_product_attention.hpp>
#include <reward_tuner/models/clip_encoder.hpp>
#include <reward_tuner/models/config_limits.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE BertConfig BertConfig::from_json(const nlohmann::json& json, std::int64_t image_width,
                                                     const std::string& where) {
  BertConfig c;
  ConfigReader reader(json, where);
  reader.expect("model_type", "bert", "BLIP's text encoder is a BERT");
  reader.expect("hidden_act", "gelu", "BERT's layers have this activation");
  reader.expect("position_embedding_type", "absolute", "the positions are a table");
  reader.expect("add_cross_attention", true, "every layer looks at the image");
  for (const auto& [key, value] :
       {std::pair{"vocab_size", &c.vocab_size}, std::pair{"hidden_size", &c.hidden_size},
        std::pair{"intermediate_size", &c.intermediate_size}, std::pair{"num_hidden_layers", &c.num_hidden_layers},
        std::pair{"num_attention_heads", &c.num_attention_heads},
        std::pair{"max_position_embeddings", &c.max_position_embeddings}})
    *value = reader.optional<std::int64_t>(key, *value);
  c.layer_norm_eps = reader.optional<double>("layer_norm_eps", c.layer_norm_eps);
  c.image_width = image_width;
  // the tokenizer pads, there are no token types, dropout is off
  reader.ignore({"pad_token_id", "type_vocab_size", "encoder_width", "attention_probs_dropout_prob",
                 "hidden_dropout_prob", "classifier_dropout"});
  detail::ignore_transformers_keys(reader);
  reader.finish();
  c.check();
  return c;
}

REWARD_TUNER_INLINE void BertConfig::check() const {
  REWARD_TUNER_CHECK(vocab_size > 0 && hidden_size > 0 && intermediate_size > 0 && num_hidden_layers > 0 &&
                         num_attention_heads > 0 && max_position_embeddings > 0 && image_width > 0,
                     "[Bert] sizes must be positive, got vocab_size ", vocab_size, ", hidden_size ", hidden_size,
                     ", intermediate_size ", intermediate_size, ", num_hidden_layers ", num_hidden_layers,
                     ", num_attention_heads ", num_attention_heads, ", max_position_embeddings ",
                     max_position_embeddings, ", image width ", image_width);
  REWARD_TUNER_CHECK(hidden_size % num_attention_heads == 0,
                     "[Bert] hidden_size must be a multiple of num_attention_heads, got ", hidden_size, " and ",
                     num_attention_heads);
  REWARD_TUNER_CHECK(layer_norm_eps >= 0 && std::isfinite(layer_norm_eps), "[Bert] layer_norm_eps must be >= 0, got ",
                     layer_norm_eps);
  detail::check_at_most("Bert", "hidden_size and intermediate_size", {hidden_size, intermediate_size},
                        4 * ConfigLimits::kWidth);
  detail::check_at_most("Bert", "num_hidden_layers", {num_hidden_layers}, ConfigLimits::kLayers);
  detail::check_at_most("Bert", "vocab_size and max_position_embeddings", {vocab_size, max_position_embeddings},
                        ConfigLimits::kRows);
}

REWARD_TUNER_INLINE BertAttention::BertAttention(const BertConfig& c, std::int64_t source_width)
    : heads_(c.num_attention_heads) {
  const auto self = register_module("self", std::make_shared<torch::nn::Module>());
  query_ = self->register_module("query", std::make_shared<Linear>(c.hidden_size, c.hidden_size));
  key_ = self->register_module("key", std::make_shared<Linear>(source_width, c.hidden_size));
  value_ = self->register_module("value", std::make_shared<Linear>(source_width, c.hidden_size));
  const auto output = register_module("output", std::make_shared<torch::nn::Module>());
  dense_ = output->register_module("dense", std::make_shared<Linear>(c.hidden_size, c.hidden_size));
  norm_ = output->register_module("LayerNorm", std::make_shared<LayerNorm>(c.hidden_size, c.layer_norm_eps));
}

REWARD_TUNER_INLINE Tensor BertAttention::forward(const Tensor& x, const Tensor& source, const Tensor& mask) const {
  const auto split = [&](const Tensor& y) { return y.unflatten(-1, {heads_, -1}).transpose(1, 2); };
  const Tensor q = split(query_->forward(x));       // [B,heads,L,D/heads]
  const Tensor k = split(key_->forward(source));    // [B,heads,S,D/heads]
  const Tensor v = split(value_->forward(source));  // [B,heads,S,D/heads]
  const Tensor mixed =
      dot_product_attention(q, k, v, mask.defined() ? std::optional(mask) : std::nullopt);  // [B,heads,L,D/heads]
  return norm_->forward(dense_->forward(mixed.transpose(1, 2).flatten(2)) + x);             // [B,L,D]
}

REWARD_TUNER_INLINE BertLayer::BertLayer(const BertConfig& c) {
  attention_ = register_module("attention", std::make_shared<BertAttention>(c, c.hidden_size));
  crossattention_ = register_module("crossattention", std::make_shared<BertAttention>(c, c.image_width));
  const auto intermediate = register_module("intermediate", std::make_shared<torch::nn::Module>());
  expand_ = intermediate->register_module("dense", std::make_shared<Linear>(c.hidden_size, c.intermediate_size));
  const auto output = register_module("output", std::make_shared<torch::nn::Module>());
  contract_ = output->register_module("dense", std::make_shared<Linear>(c.intermediate_size, c.hidden_size));
  norm_ = output->register_module("LayerNorm", std::make_shared<LayerNorm>(c.hidden_size, c.layer_norm_eps));
}

REWARD_TUNER_INLINE Tensor BertLayer::forward(const Tensor& x, const Tensor& mask, const Tensor& image) const {
  const Tensor y = crossattention_->forward(attention_->forward(x, x, mask), image);  // [B,L,D]
  return norm_->forward(contract_->forward(at::gelu(expand_->forward(y))) + y);       // [B,L,D]
}

REWARD_TUNER_INLINE BertEncoder::BertEncoder(BertConfig config) : config_(std::move(config)) {
  config_.check();
  const std::int64_t width = config_.hidden_size;
  const auto tables = register_module("embeddings", std::make_shared<torch::nn::Module>());
  words_ = tables->register_module("word_embeddings", std::make_shared<Embedding>(config_.vocab_size, width));
  positions_ = tables->register_module("position_embeddings",
                                       std::make_shared<Embedding>(config_.max_position_embeddings, width));
  norm_ = tables->register_module("LayerNorm", std::make_shared<LayerNorm>(width, config_.layer_norm_eps));
  const auto encoder = register_module("encoder", std::make_shared<torch::nn::Module>());
  layers_ = encoder->register_module("layer", std::make_shared<ModuleListOf<BertLayer>>());
  for (std::int64_t i = 0; i < config_.num_hidden_layers; ++i) layers_->emplace_back(config_);
}

REWARD_TUNER_INLINE Tensor BertEncoder::forward(const Tensor& ids, const Tensor& mask, const Tensor& image) const {
  REWARD_TUNER_CHECK(ids.defined() && ids.dim() == 2 && mask.defined() && mask.sizes() == ids.sizes() &&
                         ids.size(1) >= 1 && ids.size(1) <= config_.max_position_embeddings,
                     "[Bert] expected ids and mask [B,L] of 1 to ", config_.max_position_embeddings,
                     " tokens (max_position_embeddings), got ", ids.defined() ? ids.sizes() : at::IntArrayRef(),
                     " and ", mask.defined() ? mask.sizes() : at::IntArrayRef());
  Tensor x = norm_->forward(words_->forward(ids) + positions_->weight.narrow(0, 0, ids.size(1)));  // [B,L,D]
  const Tensor scores = (1 - mask.to(x.scalar_type())).mul(-10000.0).unsqueeze(1).unsqueeze(1);    // [B,1,1,L]
  for (const auto& layer : *layers_) x = layer->forward(x, scores, image);                         // [B,L,D]
  return x;
}

}  // namespace reward_tuner
