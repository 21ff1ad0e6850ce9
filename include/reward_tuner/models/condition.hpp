// Conditioning inputs of the denoiser: prompt and negative-prompt encodings.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <reward_tuner/tensor/tensor.hpp>
#include <reward_tuner/text/word_tokens.hpp>

namespace reward_tuner {

/// One encoding per sample. The network does not use undefined fields.
struct Conditioning {
  Tensor embeddings;     ///< [B,L,D] text states for cross-attention
  Tensor pooled = {};    ///< [B,P] pooled text (SDXL)
  Tensor time_ids = {};  ///< [B,6] sizes and crops (SDXL)

  Conditioning narrow(std::int64_t start, std::int64_t count) const;
  /// The rows that `rows` (int64 [n]) names.
  Conditioning select(const Tensor& rows) const;
};

/// The rows of all parts, one part after another.
Conditioning concatenate(const std::vector<Conditioning>& parts);

/// A batch of prompts ready for classifier-free guidance.
struct Condition {
  Conditioning positive;             ///< the prompts
  Conditioning negative;             ///< the unconditional or negative prompts
  std::vector<std::string> prompts;  ///< B prompts, for rewards and reports
  /// [B] where each prompt's words are, never its begin, end or padding; empty if the pipeline does not know
  std::vector<std::vector<WordTokens>> words = {};
  /// one row [1,L,D]: the encoding of the empty prompt; undefined if the pipeline does not give it
  Conditioning empty = {};
  /// the same samples as the untuned text encoder has them; nullptr if that is the same, or not asked for
  std::shared_ptr<const Condition> untuned = nullptr;

  /// What the untuned network is called with.
  const Condition& reference() const { return untuned ? *untuned : *this; }
  std::int64_t size() const { return static_cast<std::int64_t>(prompts.size()); }
  Condition narrow(std::int64_t start, std::int64_t count) const;
  /// The samples that `rows` (int64 [n], on the CPU) names.
  Condition select(const Tensor& rows) const;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/condition.ipp>
#endif
