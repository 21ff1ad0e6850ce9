// DiffExp's second half: in training rollouts one random word of every prompt weighs more.
#pragma once
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/exploration/exploration_span.hpp>
#include <reward_tuner/models/condition.hpp>
#include <reward_tuner/tensor/device.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// The range of PromptWeighting's word weights, and when they act.
struct PromptWeightingOptions {
  /// smallest weight of the word, >= 0; 1 leaves it as it is, 0 makes it the empty prompt's (the paper's range is not
  /// public)
  double low = 1.0;
  /// largest weight, >= low; above 1.6 the images of Stable Diffusion 1.5 break (compel's documentation)
  double high = 1.5;
  ExplorationSpan span = {};  ///< the part of the training in which it is active
};
REWARD_TUNER_FIELDS(PromptWeightingOptions, low, high, span);

/// E_i <- E_null,i + omega*(E_i - E_null,i) for the tokens i of one word, drawn anew for every row of the batch; omega
/// ~ U[low, high] (DiffExp-paper Eq. 8). E [B,L,D] are the prompts' text states, E_null [1,L,D] those of the empty
/// prompt. All sub-tokens of the word change alike; begin, end, padding, pooled text and the negative prompt never do;
/// a prompt without words stays as it is, and so, bit for bit, does a word with omega = 1. A gradient to E takes the
/// factor omega at these tokens. Costs one copy of E. Needs `Condition::words` and `Condition::empty`, else a named
/// error.
/// Example: make<DRTune, PromptWeighting>(reward, {.exploration = {.high = 1.3}});
class PromptWeighting {
 public:
  using Role = ExplorationRole;
  using Options = PromptWeightingOptions;
  static constexpr std::string_view kName = "prompt_weighting";

  explicit PromptWeighting(PromptWeightingOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(std::isfinite(options_.low) && options_.low >= 0,
                       "[PromptWeighting] low must be finite and >= 0, got ", options_.low);
    REWARD_TUNER_CHECK(std::isfinite(options_.high) && options_.high >= options_.low,
                       "[PromptWeighting] high must be finite and at least low ", options_.low, ", got ",
                       options_.high);
    check_span("PromptWeighting", options_.span);
  }
  const PromptWeightingOptions& options() const { return options_; }

  bool active(const PlanContext& context) const {
    return options_.span.active(context, "[PromptWeighting] span.updates");
  }
  double guidance(double scale, int, int) const { return scale; }

  Condition condition(const Condition& given, Rng& rng) const {
    if (given.size() == 0) return given;
    check(given);
    const Tensor& E = given.positive.embeddings;  // [B,L,D]
    const std::int64_t B = E.size(0), L = E.size(1), D = E.size(2);
    std::vector<std::int64_t> rows, positions;  // of the n tokens that change, in [B*L] and in [L]
    std::vector<double> weights;
    for (std::int64_t b = 0; b < B; ++b) {
      // two numbers whatever the prompt, so that its neighbors' draws do not depend on it
      const double which = rng.uniform(), share = rng.uniform();
      const auto& words = given.words[static_cast<std::size_t>(b)];
      const double omega = std::lerp(options_.low, options_.high, share);
      if (words.empty() || omega == 1.0) continue;
      const WordTokens word = words[static_cast<std::size_t>(which * static_cast<double>(words.size()))];
      for (std::int64_t i = word.first; i < word.first + word.count; ++i) {
        rows.push_back(b * L + i);
        positions.push_back(i);
        weights.push_back(omega);
      }
    }
    if (rows.empty()) return given;
    // half precision would round omega to steps of 1/128
    const auto wide = c10::promoteTypes(E.scalar_type(), at::kFloat);
    const auto on_device = [&](const auto& values, at::ScalarType dtype) {
      return beside(E, at::tensor(values, at::TensorOptions().dtype(dtype)));
    };
    const Tensor changed = on_device(rows, at::kLong);                           // [n]
    const Tensor omega = on_device(weights, wide).unsqueeze(1);                  // [n,1]
    const Tensor E_i = E.reshape({B * L, D}).index_select(0, changed).to(wide);  // [n,D]
    // [n,D]
    const Tensor E_null_i = given.empty.embeddings[0].index_select(0, on_device(positions, at::kLong)).to(wide);
    const Tensor weighted = E_null_i + omega * (E_i - E_null_i);  // [n,D]
    Condition out = given;
    // [B,L,D]
    out.positive.embeddings =
        E.reshape({B * L, D}).index_copy(0, changed, weighted.to(E.scalar_type())).view({B, L, D});
    return out;
  }

 private:
  static void check(const Condition& given) {
    REWARD_TUNER_CHECK(!given.words.empty(),
                       "[PromptWeighting] needs a pipeline with word positions, expected Condition::words, got none");
    const Tensor &E = given.positive.embeddings, &E_null = given.empty.embeddings;
    REWARD_TUNER_CHECK(E_null.defined(),
                       "[PromptWeighting] needs a pipeline with the encoding of the empty prompt, expected "
                       "Condition::empty, got none");
    REWARD_TUNER_CHECK(E.dim() == 3 && E.size(0) == given.size(), "[PromptWeighting] expected text states [",
                       given.size(), ",L,D], got ", E.sizes());
    REWARD_TUNER_CHECK(
        E_null.dim() == 3 && E_null.size(0) == 1 && E_null.size(1) == E.size(1) && E_null.size(2) == E.size(2),
        "[PromptWeighting] expected Condition::empty of [1,", E.size(1), ",", E.size(2), "], got ", E_null.sizes());
    REWARD_TUNER_CHECK(given.words.size() == given.prompts.size(), "[PromptWeighting] expected Condition::words of ",
                       given.size(), " prompts, got ", given.words.size());
    for (const auto& words : given.words)
      for (const WordTokens& word : words)
        REWARD_TUNER_CHECK(word.first >= 0 && word.count >= 1 && word.first + word.count <= E.size(1),
                           "[PromptWeighting] expected words within 0..", E.size(1) - 1, " of the text states, got ",
                           word.count, " tokens from ", word.first);
  }

  PromptWeightingOptions options_;
};
static_assert(ExplorationPolicy<PromptWeighting>);

}  // namespace reward_tuner
