// What the network is told beside latent and timestep: the prompt's encoding and that of its opposite for guidance.
#pragma once
#include <ATen/ops/cat.h>
#include <torch/types.h>

#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>

namespace reward_tuner {

using torch::Tensor;

/// One encoding a sample. Undefined fields are not used by the network at hand.
struct Conditioning {
  Tensor embeddings;     ///< [B,L,D] text states for cross-attention
  Tensor pooled = {};    ///< [B,P] pooled text (SDXL)
  Tensor time_ids = {};  ///< [B,6] sizes and crops (SDXL)

  Conditioning narrow(std::int64_t start, std::int64_t count) const {
    const auto part = [&](const Tensor& t) { return t.defined() ? t.narrow(0, start, count) : t; };
    return {part(embeddings), part(pooled), part(time_ids)};
  }
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

  std::int64_t size() const { return static_cast<std::int64_t>(prompts.size()); }
  Condition narrow(std::int64_t start, std::int64_t count) const {
    return {positive.narrow(start, count), negative.narrow(start, count), {prompts.begin() + start, prompts.begin() + start + count}};
  }
};

}  // namespace reward_tuner
