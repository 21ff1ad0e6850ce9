// Definitions of initialize.hpp.
#pragma once
#include <reward_tuner/models/initialize.hpp>

#include <cmath>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/layers/adaptable_layer.hpp>
#include <reward_tuner/models/layers.hpp>

namespace reward_tuner {

namespace detail {

/// Initializes the parameters that `module` itself owns.
inline void initialize_own_parameters(torch::nn::Module& module, Rng& rng) {
  if (auto* layer = dynamic_cast<AdaptableLayer*>(&module)) {
    const auto fan_in = static_cast<double>(layer->weight.numel()) / static_cast<double>(layer->weight.size(0));
    const double bound = 1.0 / std::sqrt(fan_in);  // what Kaiming's rule with a = sqrt(5) comes to
    for (const Tensor& p : {layer->weight, layer->bias})
      if (p.defined()) p.copy_(rng.uniform(p.sizes(), p.options()) * (2 * bound) - bound);
  } else if (auto* group = dynamic_cast<GroupNorm*>(&module)) {
    group->weight.fill_(1), group->bias.zero_();
  } else if (auto* norm = dynamic_cast<LayerNorm*>(&module)) {
    norm->weight.fill_(1), norm->bias.zero_();
  } else if (auto* table = dynamic_cast<Embedding*>(&module)) {
    table->weight.copy_(rng.normal(table->weight.sizes(), table->weight.options()));
  } else {
    for (const auto& item : module.named_parameters(/*recurse=*/false)) {
      REWARD_TUNER_CHECK(item.key() == "class_embedding",
                         "[initialize] expected parameters of Linear, Conv2d, GroupNorm, LayerNorm, Embedding or a "
                         "class_embedding, got '",
                         item.key(), "' held by ", module.name());
      // the vision transformer's class token
      item.value().copy_(rng.normal(item.value().sizes(), item.value().options()));
    }
  }
}

}  // namespace detail

REWARD_TUNER_INLINE void initialize(torch::nn::Module& root, Rng& rng) {
  const torch::NoGradGuard no_grad;
  detail::initialize_own_parameters(root, rng);
  for (const auto& module : root.modules(/*include_self=*/false)) detail::initialize_own_parameters(*module, rng);
}

}  // namespace reward_tuner
