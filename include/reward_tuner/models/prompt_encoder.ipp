// Definitions of prompt_encoder.hpp.
#pragma once
#include <reward_tuner/models/prompt_encoder.hpp>

#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/layers/activation_checkpoint.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

namespace detail {

inline std::int64_t tower_length(const TextTower& tower) {
  const std::int64_t positions = tower.model->config().max_position_embeddings;
  return std::min(positions, tower.tokenizer->model_max_length().value_or(positions));
}

/// One row for each of `batch` samples, without a copy.
inline Conditioning repeated(const Conditioning& row, std::int64_t batch) {
  const auto part = [&](const Tensor& t) {
    auto shape = t.defined() ? t.sizes().vec() : std::vector<std::int64_t>();
    if (shape.empty()) return t;
    shape[0] = batch;
    return t.expand(shape);
  };
  return {part(row.embeddings), part(row.pooled), part(row.time_ids)};
}

}  // namespace detail

REWARD_TUNER_INLINE PromptEncoder::PromptEncoder(std::vector<TextTower> towers, PromptEncoderOptions options,
                                                 const std::string& where)
    : towers_(std::move(towers)), options_(std::move(options)) {
  REWARD_TUNER_CHECK(towers_.size() == 1 || towers_.size() == 2, "[PromptEncoder] ", where,
                     ": expected one text encoder or two, got ", towers_.size());
  REWARD_TUNER_CHECK(towers_.size() == 1 || towers_[1].model->with_projection(), "[PromptEncoder] ", where,
                     ": expected a second text encoder with projection, got one without");
  length_ = detail::tower_length(towers_[0]);
  for (const TextTower& tower : towers_) {
    const char* which = &tower == &towers_[0] ? "text encoder" : "second text encoder";
    REWARD_TUNER_CHECK(detail::tower_length(tower) == length_, "[PromptEncoder] ", where,
                       ": expected text encoders of one length, got ", length_, " and ", detail::tower_length(tower),
                       " tokens");
    const std::int64_t rows = tower.model->config().vocab_size, tokens = tower.tokenizer->vocab_size();
    if (rows > tokens)
      note("[StableDiffusion] ", where, ": the ", which, " has ", rows, " rows, but the tokenizer only ", tokens,
           " tokens: a file with added tokens may be missing");
  }
}

REWARD_TUNER_INLINE std::int64_t PromptEncoder::width() const {
  std::int64_t sum = 0;
  for (const TextTower& tower : towers_) sum += tower.model->config().hidden_size;
  return sum;
}

REWARD_TUNER_INLINE std::int64_t PromptEncoder::pooled_width() const {
  return towers_.size() == 2 ? towers_[1].model->config().projection_dim : 0;
}

REWARD_TUNER_INLINE bool PromptEncoder::trains() const {
  return std::any_of(towers_.begin(), towers_.end(),
                     [](const TextTower& tower) { return !trainable_tensors(*tower.model).empty(); });
}

REWARD_TUNER_INLINE Condition PromptEncoder::encode(const std::vector<std::string>& prompts) const {
  const torch::AutoGradMode grad(torch::GradMode::is_enabled() && trains());
  std::vector<std::string> texts = prompts;
  texts.emplace_back();
  if (own_negative()) texts.push_back(*options_.negative_prompt);
  Conditioning all = states({texts});  // [B+1|B+2,L,D], [B+1|B+2,P]
  if (!options_.time_ids.empty()) {
    const auto options = at::TensorOptions().dtype(c10::promoteTypes(all.embeddings.scalar_type(), at::kFloat));
    all.time_ids = to_device(at::tensor(options_.time_ids, options), options_.device)  // [B+1|B+2,6]
                       .expand({all.embeddings.size(0), -1});
  }
  const auto batch = static_cast<std::int64_t>(prompts.size());
  const Conditioning empty = all.narrow(batch, 1);
  Conditioning negative = own_negative() ? all.narrow(batch + 1, 1) : empty;
  if (options_.zeros_without_negative && !options_.negative_prompt) {
    negative.embeddings = at::zeros_like(negative.embeddings);                         // [1,L,D]
    if (negative.pooled.defined()) negative.pooled = at::zeros_like(negative.pooled);  // [1,P]
  }
  return {all.narrow(0, batch), detail::repeated(negative, batch), prompts, words(prompts), empty};
}

REWARD_TUNER_INLINE Conditioning PromptEncoder::states(const std::vector<std::vector<std::string>>& texts) const {
  REWARD_TUNER_CHECK(texts.size() == 1 || texts.size() == towers_.size(), "[PromptEncoder] expected texts for each of ",
                     towers_.size(), " text encoders, or one list, got ", texts.size(), " lists");
  for (const auto& list : texts)
    REWARD_TUNER_CHECK(list.size() == texts[0].size(),
                       "[PromptEncoder] expected as many texts for every text encoder, ", "got ", texts[0].size(),
                       " and ", list.size());
  const auto encoded = [&](std::size_t i) {
    const TextTower& tower = towers_[i];
    return tower.model->forward(tokens(tower, texts[texts.size() == 1 ? 0 : i]));
  };
  const auto given = [&](const Tensor& states) { return options_.dtype ? states.to(*options_.dtype) : states; };
  if (towers_.size() == 1) return {.embeddings = given(encoded(0).last_hidden_state)};  // [B,L,D]
  const ClipTextOutput first = encoded(0), second = encoded(1);
  const auto last_but_one = [](const ClipTextOutput& out) { return out.hidden_states[out.hidden_states.size() - 2]; };
  return {.embeddings = given(at::cat({last_but_one(first), last_but_one(second)}, -1)),  // [B,L,D_1+D_2]
          .pooled = given(second.text_embeds)};                                           // [B,P]
}

REWARD_TUNER_INLINE Tensor PromptEncoder::tokens(const TextTower& tower, const std::vector<std::string>& texts) const {
  const Tensor ids = (*tower.tokenizer)(texts, length_);  // [B,L]
  const std::int64_t rows = tower.model->config().vocab_size,
                     largest = ids.numel() > 0 ? ids.max().item<std::int64_t>() : 0;
  REWARD_TUNER_CHECK(largest < rows, "[StableDiffusion] expected tokens with ids below ", rows,
                     ", the rows of the text encoder's table, got ", largest,
                     ": the tokenizer has tokens that the text encoder was not trained with");
  return to_device(ids, options_.device);
}

REWARD_TUNER_INLINE std::vector<std::vector<WordTokens>> PromptEncoder::words(
    const std::vector<std::string>& prompts) const {
  std::vector<std::vector<WordTokens>> all;
  all.reserve(prompts.size());
  for (const std::string& prompt : prompts) {
    all.push_back(towers_[0].tokenizer->words(prompt, length_));
    for (const TextTower& tower : towers_)
      if (tower.tokenizer != towers_[0].tokenizer && tower.tokenizer->words(prompt, length_) != all.back()) return {};
  }
  return all;
}

}  // namespace reward_tuner
