// Moves weights between a network and safetensors files, strictly: every name and every shape must match.
#pragma once
#include <torch/nn/module.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/files/weights_source.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// How `load_weights` reads its source.
struct LoadOptions {
  std::function<std::string(std::string)> rename = {};  ///< source's name -> module's; an empty result skips it
  /// floating-point values are rounded to this type before they take the module's own
  std::optional<at::ScalarType> round_to = std::nullopt;
};

/// Parameters and buffers by their dotted names, detached views of the module's own storage.
std::map<std::string, Tensor> state_dict(const torch::nn::Module& module);

namespace detail {

std::string shape_text(at::IntArrayRef shape);

/// "; 7 missing: a, b, c, d, e, ..." or nothing.
std::string problem_list(const char* what, const std::vector<std::string>& names);

}  // namespace detail

/// Copies the source's values into the module's parameters and buffers, several tensors at a time, converting
/// floating-point types (fp16, bf16, ...) to the module's own dtype and device. All names are checked before the first
/// value is copied.
/// Errors: names that are missing or unexpected, wrong shapes, integers where floating point is expected and vice
/// versa, two keys with one name.
void load_weights(torch::nn::Module& module, const WeightsSource& source, const LoadOptions& options = {});

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/weights.ipp>
#endif
