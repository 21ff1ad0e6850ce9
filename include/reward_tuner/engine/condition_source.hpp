// How the condition of an update's samples follows from its prompts, so that it can be made again: with another text
// encoder, and backward.
#pragma once
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/engine/pipeline.hpp>

namespace reward_tuner {

namespace detail {

/// The states of a condition: of its samples, and the empty prompt's.
inline std::array<Tensor*, 6> states(Condition& c) {
  return {&c.positive.embeddings, &c.positive.pooled,  &c.negative.embeddings,
          &c.negative.pooled,     &c.empty.embeddings, &c.empty.pooled};
}

/// Whether anything that trains can be reached from one of them: of SDXL's two text encoders, the end of the second
/// one acts on the pooled embedding alone.
inline bool carries_graph(Condition& c) {
  const auto all = states(c);
  return std::any_of(all.begin(), all.end(), [](const Tensor* t) { return t->defined() && t->requires_grad(); });
}

}  // namespace detail

/// The encoded prompts of an update, and what the samples see of them.
struct ConditionSource {
  Condition encoded;                                   ///< one row per prompt, without gradient
  std::function<Condition(const Condition&)> arrange;  ///< encoded -> samples: copied, explored, chosen
  std::optional<Condition> untuned = {};               ///< `encoded` of the untuned text encoder, where it is asked for

  /// The samples' condition, with that of the untuned text encoder if there is one.
  Condition condition() const {
    Condition out = arrange(encoded);
    if (untuned) out.untuned = std::make_shared<const Condition>(arrange(*untuned));
    return out;
  }
  /// The source of the samples that `rows` (int64 [n], on the CPU) names.
  ConditionSource select(const Tensor& rows) const {
    return {encoded, [all = arrange, rows](const Condition& prompts) { return all(prompts).select(rows); }, untuned};
  }
};

/// The prompts' condition without gradient.
/// Errors: a pipeline that gives a graph without `trains_condition()`, whose gradient would be lost.
template <DiffusionPipeline Pipeline>
Condition encode_without_gradient(Pipeline& pipeline, const std::vector<std::string>& prompts) {
  if (trains_condition(pipeline)) {
    const torch::NoGradGuard no_grad;
    return pipeline.encode(prompts);
  }
  Condition encoded = pipeline.encode(prompts);
  REWARD_TUNER_CHECK(!detail::carries_graph(encoded),
                     "[DiffusionPipeline] expected encode() without a gradient, got states with a graph: a pipeline "
                     "that trains its text encoder needs bool trains_condition()");
  return encoded;
}

}  // namespace reward_tuner
