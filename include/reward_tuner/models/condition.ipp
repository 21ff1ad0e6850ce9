// Definitions of condition.hpp.
#pragma once
#include <reward_tuner/models/condition.hpp>

#include <ATen/ops/cat.h>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE Conditioning Conditioning::narrow(std::int64_t start, std::int64_t count) const {
  const auto part = [&](const Tensor& t) { return t.defined() ? t.narrow(0, start, count) : t; };
  return {part(embeddings), part(pooled), part(time_ids)};
}

REWARD_TUNER_INLINE Conditioning Conditioning::select(const Tensor& rows) const {
  const auto part = [&](const Tensor& t) { return t.defined() ? t.index_select(0, beside(t, rows)) : t; };
  return {part(embeddings), part(pooled), part(time_ids)};
}

REWARD_TUNER_INLINE Conditioning concatenate(const std::vector<Conditioning>& parts) {
  const auto all = [&](Tensor Conditioning::*field) {
    std::vector<Tensor> rows;
    for (const Conditioning& part : parts)
      if ((part.*field).defined()) rows.push_back(part.*field);
    return rows.empty() ? Tensor() : at::cat(rows);
  };
  return {all(&Conditioning::embeddings), all(&Conditioning::pooled), all(&Conditioning::time_ids)};
}

REWARD_TUNER_INLINE Condition Condition::narrow(std::int64_t start, std::int64_t count) const {
  return {positive.narrow(start, count),
          negative.narrow(start, count),
          {prompts.begin() + start, prompts.begin() + start + count},
          words.empty() ? words : decltype(words)(words.begin() + start, words.begin() + start + count),
          empty,
          untuned ? std::make_shared<const Condition>(untuned->narrow(start, count)) : nullptr};
}

REWARD_TUNER_INLINE Condition Condition::select(const Tensor& rows) const {
  Condition out{positive.select(rows), negative.select(rows), {}, {}, empty};
  if (untuned) out.untuned = std::make_shared<const Condition>(untuned->select(rows));
  for (std::int64_t i = 0; i < rows.numel(); ++i) {
    const auto row = static_cast<std::size_t>(rows.const_data_ptr<std::int64_t>()[i]);
    out.prompts.push_back(prompts[row]);
    if (!words.empty()) out.words.push_back(words[row]);
  }
  return out;
}

}  // namespace reward_tuner
