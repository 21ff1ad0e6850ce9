// Definitions of weights.hpp.
#pragma once
#include <reward_tuner/files/weights.hpp>

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include <reward_tuner/core/by_threads.hpp>
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE std::map<std::string, Tensor> state_dict(const torch::nn::Module& module) {
  std::map<std::string, Tensor> state;
  for (const auto& item : module.named_parameters(/*recurse=*/true))
    if (item.value().defined()) state.emplace(item.key(), item.value().detach());
  for (const auto& item : module.named_buffers(/*recurse=*/true))
    if (item.value().defined()) state.emplace(item.key(), item.value().detach());
  return state;
}

namespace detail {

REWARD_TUNER_INLINE std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ",") + std::to_string(shape[i]);
  return text + "]";
}

REWARD_TUNER_INLINE std::string problem_list(const char* what, const std::vector<std::string>& names) {
  if (names.empty()) return "";
  std::string text = "; " + std::to_string(names.size()) + " " + what + ": ";
  for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 5); ++i) text += (i == 0 ? "" : ", ") + names[i];
  return text + (names.size() > 5 ? ", ..." : "");
}

}  // namespace detail

REWARD_TUNER_INLINE void load_weights(torch::nn::Module& module, const WeightsSource& source,
                                      const LoadOptions& options) {
  auto wanted = state_dict(module);
  std::map<std::string, std::string> sources;  // module name -> file key
  std::vector<std::string> missing, unexpected, shapes, types;
  for (const auto& key : source.names()) {
    const std::string name = options.rename ? options.rename(key) : key;
    if (options.rename && name.empty()) continue;
    const auto target = wanted.find(name);
    if (target == wanted.end()) {
      unexpected.push_back(detail::shortened(key));
      continue;
    }
    const auto [previous, is_new] = sources.emplace(name, key);
    REWARD_TUNER_CHECK(is_new, "[Weights] ", source.where(), ": the keys ", detail::shortened(previous->second),
                       " and ", detail::shortened(key), " both mean ", detail::shortened(name));
    const auto& shape = source.shape(key);
    if (target->second.sizes() != at::IntArrayRef(shape))
      shapes.push_back(detail::shortened(key) + " (found " + detail::shape_text(shape) + ", expected " +
                       detail::shape_text(target->second.sizes()) + ")");
    const at::ScalarType type = source.dtype(key), own = target->second.scalar_type();
    if (type != own && !(c10::isFloatingType(type) && c10::isFloatingType(own)))
      types.push_back(detail::shortened(key) + " (found " + c10::toString(type) + ", expected " + c10::toString(own) +
                      ")");
  }
  for (const auto& [name, tensor] : wanted)
    if (sources.count(name) == 0) missing.push_back(detail::shortened(name));

  const std::string problems =
      detail::problem_list("missing", missing) + detail::problem_list("unexpected", unexpected) +
      detail::problem_list("of the wrong shape", shapes) + detail::problem_list("of the wrong type", types);
  REWARD_TUNER_CHECK(problems.empty(), "[Weights] ", source.where(), " does not fit the network of ", wanted.size(),
                     " tensors", problems);

  const torch::NoGradGuard no_grad;
  std::vector<std::pair<std::string, Tensor>> reads;  // the source's name, the module's tensor: no kernel takes part
  for (const auto& [name, tensor] : wanted) {
    const std::string& key = sources.at(name);
    const at::ScalarType type = source.dtype(key);
    if (options.round_to && c10::isFloatingType(type) && type != *options.round_to)
      tensor.copy_(source.tensor(key).to(*options.round_to));
    else if (source.is_straight(key, tensor)) reads.emplace_back(key, tensor);
    else source.copy(key, tensor);
  }
  by_threads(reads.size(), static_cast<std::size_t>(at::get_num_threads()),
             [&](std::size_t i) { source.copy(reads[i].first, reads[i].second); });
}

}  // namespace reward_tuner
