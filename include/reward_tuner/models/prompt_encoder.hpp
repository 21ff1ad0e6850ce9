// What turns prompts into the condition of a network: a pipeline's text encoders with their tokenizers.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/condition.hpp>
#include <reward_tuner/tensor/tensor.hpp>
#include <reward_tuner/text/clip_tokenizer.hpp>

namespace reward_tuner {

/// A text encoder and the tokenizer that it was trained with.
struct TextTower {
  std::shared_ptr<ClipTokenizer> tokenizer;  ///< never nullptr
  std::shared_ptr<ClipTextModel> model;      ///< never nullptr
};

/// What the condition holds besides the prompts.
struct PromptEncoderOptions {
  at::Device device = at::kCPU;  ///< where the text encoders live
  /// of the condition; unset: what the text encoders compute in
  std::optional<at::ScalarType> dtype = std::nullopt;
  /// what guidance pushes away from, for every text encoder; unset: the empty prompt, or zeros by the next field
  std::optional<std::string> negative_prompt = std::nullopt;
  /// zeros stand for an unset negative prompt (SDXL's force_zeros_for_empty_prompt); one that is given and empty is
  /// encoded
  bool zeros_without_negative = false;
  /// original height and width, top and left of the crop, target height and width, in pixels (SDXL); empty: none
  std::vector<std::int64_t> time_ids = {};
};

/// Prompts to a Condition, as diffusers' pipelines make it. One text encoder (SD 1, 2): its states after the last norm.
/// Two (SDXL): the last but one hidden states of both side by side, the projection of the second as the pooled
/// embedding, and the time ids. Copies share the networks.
class PromptEncoder {
 public:
  PromptEncoder() = default;
  /// `where` names the model in notes and errors.
  /// Errors: no tower or more than two; a second tower without projection; towers of different lengths.
  PromptEncoder(std::vector<TextTower> towers, PromptEncoderOptions options, const std::string& where);

  const std::vector<TextTower>& towers() const { return towers_; }

  /// Width D of the states: the sum of the towers'.
  std::int64_t width() const;
  /// Width P of the pooled embedding; 0 if there is none.
  std::int64_t pooled_width() const;

  /// Tokens of a prompt's row, start and end included: the text encoders' positions, or fewer where the tokenizers'
  /// files say so.
  std::int64_t length() const { return length_; }
  /// The end of a prompt that is left out because it is too long; empty if nothing is lost.
  std::string lost_text(const std::string& prompt) const { return towers_[0].tokenizer->lost_text(prompt, length_); }

  /// Whether a text encoder has weights or adapters that train.
  bool trains() const;

  /// Rows of each text encoder's call for so many prompts: they, the empty prompt and a negative one of its own.
  std::int64_t rows(std::int64_t prompts) const { return prompts + 1 + (own_negative() ? 1 : 0); }

  /// prompts -> text states [B,L,D] of the prompts and of the negative prompt, where their words are, and the empty
  /// prompt [1,L,D]; with two towers the pooled embeddings [B,P] and time ids [B,6] beside them. Word positions are
  /// left out where two tokenizers cut a prompt in different ways.
  /// Gradient: to the text encoders' trainable weights and adapters; without any, no graph is made.
  /// Errors: tokens that a text encoder has no row for.
  Condition encode(const std::vector<std::string>& prompts) const;

  /// The states of texts: one list for each tower, or one for all of them. Always with its graph, where gradients are
  /// enabled.
  Conditioning states(const std::vector<std::vector<std::string>>& texts) const;

 private:
  /// Whether the negative prompt is neither the empty one nor zeros.
  bool own_negative() const { return options_.negative_prompt && !options_.negative_prompt->empty(); }
  /// The token ids [B,L] of a tower.
  Tensor tokens(const TextTower& tower, const std::vector<std::string>& texts) const;
  std::vector<std::vector<WordTokens>> words(const std::vector<std::string>& prompts) const;

  std::vector<TextTower> towers_;
  PromptEncoderOptions options_;
  std::int64_t length_ = 0;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/prompt_encoder.ipp>
#endif
