// The toy pipeline with a text encoder of its own that trains: proofs of gradients through the condition.
#pragma once
#include <ATen/ops/linear.h>
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/models/condition.hpp>
#include <reward_tuner/tensor/rng.hpp>

#include <tests/reference/toy_pipeline.hpp>

namespace reward_tuner::reference {

/// states = tokens + tanh(tokens A) B, for the prompts, the negative prompt "blurry" and the empty one; the tokens are
/// what ToyPipeline encodes. The text encoder's weights come last among the parameters.
class TextToy : public ToyPipeline {
  struct ReferenceScope {
    decltype(std::declval<ToyPipeline&>().reference_scope()) network;
    bool& untuned;
    bool before = std::exchange(untuned, true);
    ~ReferenceScope() { untuned = before; }
  };

 public:
  explicit TextToy(bool trained = true, ToyOptions options = {})
      : ToyPipeline(options), all_(ToyPipeline::parameters()), trained_(trained) {
    Rng rng(options.seed + 100);
    for (int i = 0; i < 2; ++i) {
      untuned_text_.push_back(rng.normal({3, 3}, latent_options()) * 0.6);
      text_.push_back(untuned_text_.back().clone().requires_grad_(trained));
      if (trained) all_.push_back(text_.back());
    }
  }

  bool trains_condition() const { return trained_; }
  Condition encode(const std::vector<std::string>& prompts) {
    ++encodings;
    const torch::AutoGradMode grad(torch::GradMode::is_enabled() && trained_);
    const auto count = static_cast<std::int64_t>(prompts.size());
    return {{states(prompts)},
            {states({"blurry"}).expand({count, -1, -1})},
            prompts,
            std::vector<std::vector<WordTokens>>(prompts.size(), {{0, 1}, {1, 1}}),
            {states({""})}};
  }
  ReferenceScope reference_scope() { return {ToyPipeline::reference_scope(), use_untuned_}; }
  Tensor encode_images(const Tensor& images) { return images.narrow(1, 0, 2) * 2 - 1; }  // [N,2,4,4]

  /// The network's parameters, then the text encoder's if it is trained.
  std::vector<Tensor>& parameters() { return all_; }
  std::vector<Tensor>& text_parameters() { return text_; }
  /// Moves all weights away from the reference.
  void disturb(std::uint64_t seed, double size) {
    const torch::NoGradGuard no_grad;
    ToyPipeline::disturb(seed, size);
    Rng rng(seed + 1);
    for (Tensor& p : text_) p.add_(rng.normal(p.sizes(), p.options()), size);
  }

  int encodings = 0;        ///< calls of encode so far
  bool lost_graph = false;  ///< encode forgets its graph, against what trains_condition says

 private:
  Tensor states(const std::vector<std::string>& prompts) {
    const std::vector<Tensor>& w = use_untuned_ ? untuned_text_ : text_;
    const Tensor tokens = ToyPipeline::encode(prompts).positive.embeddings;         // [B,L,D]
    const Tensor out = tokens + at::linear(at::linear(tokens, w[0]).tanh(), w[1]);  // [B,L,D]
    return lost_graph ? out.detach() : out;
  }

  std::vector<Tensor> all_, text_, untuned_text_;
  bool trained_, use_untuned_ = false;
};
static_assert(DiffusionPipeline<TextToy> && ConditionTraining<TextToy>);

}  // namespace reward_tuner::reference
