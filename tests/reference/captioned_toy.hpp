// The toy pipeline with an encoder of images, captioned images for it, and an optimizer that only remembers.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <reward_tuner/run/captioned_images.hpp>
#include <reward_tuner/tensor/rng.hpp>

#include <tests/reference/toy_pipeline.hpp>

namespace reward_tuner::reference {

/// A toy whose encoder takes two color channels as the latents.
struct CaptionedToy : ToyPipeline {
  using ToyPipeline::ToyPipeline;
  Tensor encode_images(const Tensor& images) { return images.narrow(1, 0, 2) * 2 - 1; }  // [N,2,4,4]
};

/// Three small images with captions.
inline std::shared_ptr<const CaptionedImages> captioned_images() {
  Rng rng(5);
  return std::make_shared<const CaptionedImages>(rng.uniform({3, 3, 4, 4}),
                                                 std::vector<std::string>{"a red circle", "a star", "two squares"});
}

/// An optimizer that remembers every step's gradients and moves nothing.
struct StepRecorder {
  std::vector<Tensor> held;
  std::vector<std::vector<Tensor>> steps = {};
  const std::vector<Tensor>& parameters() const { return held; }
  void zero_grad() {
    for (Tensor& p : held) p.mutable_grad().reset();
  }
  void step() {
    steps.emplace_back();
    for (const Tensor& p : held) steps.back().push_back(p.grad().defined() ? p.grad().clone() : at::zeros_like(p));
  }
};

}  // namespace reward_tuner::reference
