// What the network is told beside latent and timestep: the prompt's encoding and that of its opposite for guidance.
#pragma once
#include <ATen/ops/cat.h>

#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// One encoding a sample. Undefined fields are not used by the network at hand.
struct Conditioning {
  Tensor embeddings;     ///< [B,L,D] text states for cross-attention
  Tensor pooled = {};    ///< [B,P] pooled text (SDXL)
  Tensor time_ids = {};  ///< [B,6] sizes and crops (SDXL)

  Conditioning narrow(std::int64_t start, std::int64_t count) const {
    const auto part = [&](const Tensor& t) { return t.defined() ? t.narrow(0, start, count) : t; };
    return {part(embeddings), part(pooled), part(time_ids)};
  }
  /// The rows that `rows` (int64 [n]) names.
  Conditioning select(const Tensor& rows) const {
    const auto part = [&](const Tensor& t) { return t.defined() ? t.index_select(0, rows.to(t.device())) : t; };
    return {part(embeddings), part(pooled), part(time_ids)};
  }
};

/// The tokens that one word of a prompt became: positions first .. first+count-1 of the text states.
struct WordTokens {
  std::int64_t first = 0, count = 0;
  bool operator==(const WordTokens&) const = default;
};

/// The rows of all parts, one part after another.
inline Conditioning concatenate(const std::vector<Conditioning>& parts) {
  const auto all = [&](Tensor Conditioning::*field) {
    std::vector<Tensor> rows;
    for (const Conditioning& part : parts)
      if ((part.*field).defined()) rows.push_back(part.*field);
    return rows.empty() ? Tensor() : at::cat(rows);
  };
  return {all(&Conditioning::embeddings), all(&Conditioning::pooled), all(&Conditioning::time_ids)};
}

/// A batch of prompts ready for classifier-free guidance.
struct Condition {
  Conditioning positive;             ///< the prompts
  Conditioning negative;             ///< the unconditional or negative prompts
  std::vector<std::string> prompts;  ///< B prompts, for rewards and reports
  /// [B] where each prompt's words are, never its begin, end or padding; empty if the pipeline does not know
  std::vector<std::vector<WordTokens>> words = {};
  /// one row [1,L,D]: the encoding of the empty prompt; undefined if the pipeline does not give it
  Conditioning empty = {};

  std::int64_t size() const { return static_cast<std::int64_t>(prompts.size()); }
  Condition narrow(std::int64_t start, std::int64_t count) const {
    return {positive.narrow(start, count),
            negative.narrow(start, count),
            {prompts.begin() + start, prompts.begin() + start + count},
            words.empty() ? words : decltype(words)(words.begin() + start, words.begin() + start + count),
            empty};
  }
  /// The samples that `rows` (int64 [n], on the CPU) names.
  Condition select(const Tensor& rows) const {
    Condition out{positive.select(rows), negative.select(rows), {}, {}, empty};
    for (std::int64_t i = 0; i < rows.numel(); ++i) {
      const auto row = static_cast<std::size_t>(rows.const_data_ptr<std::int64_t>()[i]);
      out.prompts.push_back(prompts[row]);
      if (!words.empty()) out.words.push_back(words[row]);
    }
    return out;
  }
};

}  // namespace reward_tuner
