// How the condition of an update's samples follows from its prompts, so that it can be made again: with another text
// encoder, and backward.
#pragma once
#include <torch/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/engine/pipeline.hpp>

namespace reward_tuner {

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
  REWARD_TUNER_CHECK(!encoded.positive.embeddings.requires_grad(),
                     "[DiffusionPipeline] expected encode() without a gradient, got states with a graph: a pipeline "
                     "that trains its text encoder needs bool trains_condition()");
  return encoded;
}

}  // namespace reward_tuner
