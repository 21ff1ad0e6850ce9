// Other values in a list of tensors, for a time.
#pragma once
#include <ATen/ops/_foreach_copy.h>
#include <torch/types.h>

#include <utility>
#include <vector>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// From construction to destruction the tensors hold other values, each of its tensor's shape; the storage stays. Takes
/// the memory of a copy.
class ScopedValues {
 public:
  ScopedValues(std::vector<Tensor> tensors, const std::vector<Tensor>& values) : tensors_(std::move(tensors)) {
    const torch::NoGradGuard no_grad;
    for (const Tensor& tensor : tensors_) before_.push_back(tensor.detach().clone());
    if (!tensors_.empty()) at::_foreach_copy_(tensors_, values);
  }
  ~ScopedValues() {
    const torch::NoGradGuard no_grad;
    if (!tensors_.empty()) at::_foreach_copy_(tensors_, before_);
  }
  ScopedValues(const ScopedValues&) = delete;
  ScopedValues& operator=(const ScopedValues&) = delete;

 private:
  std::vector<Tensor> tensors_, before_;
};

}  // namespace reward_tuner
