// What the reward tests share: central finite differences and a tiny random CLIP, both in double.
#pragma once
#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_checks {

using torch::Tensor;

/// Gradient of the scalar f at x (double) by central differences.
template <class F>
Tensor central_differences(F f, const Tensor& x, double step = 1e-6) {
  const torch::NoGradGuard no_grad;
  const Tensor at = x.detach().clone(), slope = at::empty_like(at);
  double* value = at.data_ptr<double>();
  double* out = slope.data_ptr<double>();
  for (std::int64_t i = 0; i < at.numel(); ++i) {
    const double middle = value[i];
    value[i] = middle + step;
    const double up = f(at).template item<double>();
    value[i] = middle - step;
    const double down = f(at).template item<double>();
    value[i] = middle;
    out[i] = (up - down) / (2 * step);
  }
  return slope;
}

/// Gradient of the scalar f at x by autograd.
template <class F>
Tensor gradient(F f, const Tensor& x) {
  const Tensor leaf = x.detach().clone().requires_grad_();
  return torch::autograd::grad({f(leaf)}, {leaf})[0];
}

/// |a - b| / |b| in the Euclidean norm.
inline double relative_error(const Tensor& a, const Tensor& b) { return ((a - b).norm() / b.norm()).item<double>(); }

/// Random images [B,3,H,W] in double, well inside [0,1].
inline Tensor random_images(std::int64_t batch, std::int64_t height, std::int64_t width, std::uint64_t seed) {
  reward_tuner::Rng rng(seed);
  return rng.uniform({batch, 3, height, width}, at::kDouble) * 0.8 + 0.1;
}

/// A CLIP of two one-layer towers with random weights and a tokenizer of single letters. Double, frozen.
inline std::shared_ptr<const reward_tuner::ClipModel> tiny_clip(std::uint64_t seed) {
  using namespace reward_tuner;
  ClipTokenizerFiles files;
  std::int64_t id = 0;
  for (char letter = 'a'; letter <= 'z'; ++letter)
    for (const char* end : {"", "</w>"}) files.vocabulary.emplace(std::string(1, letter) + end, id++);
  for (const char* special : {"<|startoftext|>", "<|endoftext|>"}) files.vocabulary.emplace(special, id++);
  ClipConfig config;
  config.text.vocab_size = id;
  config.text.max_position_embeddings = 12;
  config.text.eos_token_id = id - 1;
  config.vision.image_size = 8;
  config.vision.patch_size = 4;
  config.projection_dim = 6;
  for (ClipEncoderOptions* tower :
       {static_cast<ClipEncoderOptions*>(&config.text), static_cast<ClipEncoderOptions*>(&config.vision)}) {
    tower->hidden_size = 8;
    tower->intermediate_size = 16;
    tower->num_hidden_layers = 1;
    tower->num_attention_heads = 2;
  }
  auto clip =
      std::make_shared<ClipModel>(config, ClipTokenizer(std::move(files)), ImagePreprocessor({.edge = 8, .side = 8}));
  Rng rng(seed);
  for (Tensor& parameter : clip->parameters()) {
    parameter.requires_grad_(false);
    parameter.copy_(rng.normal(parameter.sizes()) * 0.3);
  }
  clip->to(at::kDouble);
  return clip;
}

}  // namespace reward_checks
