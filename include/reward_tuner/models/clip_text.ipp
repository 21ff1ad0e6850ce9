// Definitions of clip_text.hpp.
#pragma once
#include <reward_tuner/models/clip_text.hpp>

#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>

#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/models/config_limits.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE ClipTextConfig ClipTextConfig::load(const std::filesystem::path& file) {
  return from_json(read_json(file), file.string());
}

REWARD_TUNER_INLINE ClipTextConfig ClipTextConfig::from_json(const nlohmann::json& json, const std::string& where) {
  ClipTextConfig c;
  ConfigReader reader(json, where);
  reader.expect("model_type", "clip_text_model", "this class is CLIP's text tower");
  detail::read_clip_encoder(reader, c);
  c.vocab_size = reader.optional<std::int64_t>("vocab_size", c.vocab_size);
  c.max_position_embeddings = reader.optional<std::int64_t>("max_position_embeddings", c.max_position_embeddings);
  c.projection_dim = reader.optional<std::int64_t>("projection_dim", c.projection_dim);
  c.eos_token_id = reader.optional<std::int64_t>("eos_token_id", c.eos_token_id);
  reader.ignore({"bos_token_id", "pad_token_id"});  // the tokenizer's files decide these
  detail::ignore_transformers_keys(reader);
  reader.finish();
  c.check();
  return c;
}

REWARD_TUNER_INLINE nlohmann::json ClipTextConfig::to_json() const {
  nlohmann::json json{{"model_type", "clip_text_model"},
                      {"vocab_size", vocab_size},
                      {"max_position_embeddings", max_position_embeddings},
                      {"projection_dim", projection_dim},
                      {"eos_token_id", eos_token_id}};
  detail::write_clip_encoder(json, *this);
  return json;
}

REWARD_TUNER_INLINE void ClipTextConfig::check() const {
  detail::check_clip_encoder(*this, "ClipText");
  REWARD_TUNER_CHECK(vocab_size > 0 && max_position_embeddings > 0 && projection_dim > 0,
                     "[ClipText] sizes must be positive, got vocab_size ", vocab_size, ", max_position_embeddings ",
                     max_position_embeddings, ", projection_dim ", projection_dim);
  detail::check_at_most("ClipText", "vocab_size and max_position_embeddings", {vocab_size, max_position_embeddings},
                        ConfigLimits::kRows);
  detail::check_at_most("ClipText", "projection_dim", {projection_dim}, 4 * ConfigLimits::kWidth);
}

REWARD_TUNER_INLINE ClipTextEmbeddings::ClipTextEmbeddings(const ClipTextConfig& c) {
  token_embedding_ = register_module("token_embedding", std::make_shared<Embedding>(c.vocab_size, c.hidden_size));
  position_embedding_ =
      register_module("position_embedding", std::make_shared<Embedding>(c.max_position_embeddings, c.hidden_size));
}

REWARD_TUNER_INLINE Tensor ClipTextEmbeddings::forward(const Tensor& ids) const {
  return token_embedding_->forward(ids) + position_embedding_->weight.slice(0, 0, ids.size(1));
}

REWARD_TUNER_INLINE ClipTextTransformer::ClipTextTransformer(ClipTextConfig config) : config_(std::move(config)) {
  config_.check();
  embeddings_ = register_module("embeddings", std::make_shared<ClipTextEmbeddings>(config_));
  encoder_ = register_module("encoder", std::make_shared<ClipEncoder>(config_));
  final_layer_norm_ =
      register_module("final_layer_norm", std::make_shared<LayerNorm>(config_.hidden_size, config_.layer_norm_eps));
}

REWARD_TUNER_INLINE ClipTextOutput ClipTextTransformer::forward(const Tensor& ids) const {
  REWARD_TUNER_CHECK(ids.defined() && ids.dim() == 2 && ids.scalar_type() == at::kLong,
                     "[ClipText] ids must be int64 [B,L], got ",
                     ids.defined() ? ids.toString() : std::string("undefined"), " with ", ids.defined() ? ids.dim() : 0,
                     " dimensions");
  REWARD_TUNER_CHECK(ids.size(1) >= 1 && ids.size(1) <= config_.max_position_embeddings,
                     "[ClipText] sequences must have 1 to ", config_.max_position_embeddings,
                     " tokens (max_position_embeddings), got ", ids.size(1));
  ClipTextOutput out;
  const Tensor x = embeddings_->forward(ids);  // [B,L,D]
  // [L,L]
  const Tensor mask =
      at::full({ids.size(1), ids.size(1)}, -std::numeric_limits<double>::infinity(), x.options()).triu(1);
  out.hidden_states = encoder_->forward(x, mask);                                // (layers + 1) x [B,L,D]
  out.last_hidden_state = final_layer_norm_->forward(out.hidden_states.back());  // [B,L,D]
  // Checkpoints from before 2023 carry eos_token_id 2 by mistake; their pooling is at the largest id, which is the
  // real end-of-text token.
  // [B]
  const Tensor end = config_.eos_token_id == 2 ? ids.argmax(-1) : ids.eq(config_.eos_token_id).to(at::kInt).argmax(-1);
  const Tensor rows = at::arange(ids.size(0), ids.options());    // [B]
  out.pooler_output = out.last_hidden_state.index({rows, end});  // [B,D]
  return out;
}

REWARD_TUNER_INLINE ClipTextModel::ClipTextModel(ClipTextConfig config, bool with_projection) {
  text_model_ = register_module("text_model", std::make_shared<ClipTextTransformer>(std::move(config)));
  if (with_projection)
    text_projection_ = register_module(
        "text_projection", std::make_shared<Linear>(this->config().hidden_size, this->config().projection_dim, false));
}

REWARD_TUNER_INLINE ClipTextOutput ClipTextModel::forward(const Tensor& ids) const {
  ClipTextOutput out = text_model_->forward(ids);
  if (text_projection_) out.text_embeds = text_projection_->forward(out.pooler_output);  // [B,P]
  return out;
}

REWARD_TUNER_INLINE std::string clip_text_key(std::string key) {
  if (detail::ends_with_position_ids(key)) return {};
  if (key.starts_with("embeddings.") || key.starts_with("encoder.") || key.starts_with("final_layer_norm."))
    return "text_model." + key;
  return key;
}

}  // namespace reward_tuner
