// Definitions of lora.hpp.
#pragma once
#include <reward_tuner/lora/lora.hpp>

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE std::vector<std::string> detail::attention_targets() {
  return {"to_q", "to_k", "to_v", "to_out.0"};
}

REWARD_TUNER_INLINE void check_options(const LoraOptions& o) {
  REWARD_TUNER_CHECK(o.rank >= 1, "[LoRA] rank must be at least 1, got ", o.rank);
  REWARD_TUNER_CHECK(std::isfinite(o.alpha) && o.alpha >= 0, "[LoRA] alpha must be finite and >= 0, got ", o.alpha);
}

REWARD_TUNER_INLINE Lora Lora::attach(torch::nn::Module& network, LoraOptions options, std::string prefix) {
  check_options(options);
  if (options.alpha == 0) options.alpha = static_cast<double>(options.rank);
  Lora lora(std::move(options), std::move(prefix));
  const auto all = adaptable_layers(network);
  const auto chosen = choose(all, lora.options_.targets);
  std::uint64_t number = 0;
  for (const auto& [path, layer] : chosen) {
    Rng rng = Rng::derive(lora.options_.seed, number++);
    auto down_shape = layer->weight.sizes().vec(), up_shape = std::vector<std::int64_t>(down_shape.size(), 1);
    up_shape[0] = down_shape[0];
    down_shape[0] = up_shape[1] = lora.options_.rank;
    const auto like = layer->weight.options().dtype(factor_type(*layer)).requires_grad(false);
    LowRank adapter;
    adapter.down = rng.normal(down_shape, like) / static_cast<double>(lora.options_.rank);  // [r,in] or [r,in,kh,kw]
    adapter.up = at::zeros(up_shape, like);                                                 // [out,r] or [out,r,1,1]
    adapter.scale = lora.options_.alpha / static_cast<double>(lora.options_.rank);
    lora.add(path, layer, std::move(adapter));
  }
  lora.install(network);
  return lora;
}

REWARD_TUNER_INLINE std::vector<std::string> Lora::layer_paths(const torch::nn::Module& network) {
  std::vector<std::string> paths;
  for (const auto& item : adaptable_layers(network)) paths.push_back(item.first);
  return paths;
}

REWARD_TUNER_INLINE Lora Lora::load(torch::nn::Module& network, const std::filesystem::path& folder_or_file,
                                    std::string prefix) {
  const auto parts = read_lora(folder_or_file, {{prefix, layer_paths(network)}});
  return from_layers(network, parts.at(prefix), prefix);
}

REWARD_TUNER_INLINE Lora Lora::from_layers(torch::nn::Module& network, const LoraLayers& layers, std::string prefix) {
  REWARD_TUNER_CHECK(!layers.empty(), "[LoRA] expected at least one layer to adapt, got none");
  const auto all = adaptable_layers(network);
  LoraOptions options;
  options.rank = layers.begin()->second.down.size(0);
  options.alpha = layers.begin()->second.scale * static_cast<double>(options.rank);
  options.targets.clear();
  for (const auto& item : layers) options.targets.push_back(item.first);
  Lora lora(std::move(options), std::move(prefix));
  for (const auto& [path, stored] : layers) {
    const auto found = all.find(path);
    REWARD_TUNER_CHECK(found != all.end(), "[LoRA] the network has no layer called ", detail::shortened(path));
    const auto& layer = found->second;
    auto down_shape = layer->weight.sizes().vec(), up_shape = std::vector<std::int64_t>(down_shape.size(), 1);
    up_shape[0] = down_shape[0];
    down_shape[0] = up_shape[1] = stored.down.size(0);
    // a linear layer and a convolution of one pixel differ in trailing ones only, and programs write either
    const auto fits = [](const Tensor& factor, std::vector<std::int64_t> shape) {
      auto found_shape = factor.sizes().vec();
      while (shape.size() > 2 && shape.back() == 1) shape.pop_back();
      while (found_shape.size() > 2 && found_shape.back() == 1) found_shape.pop_back();
      return found_shape == shape;
    };
    REWARD_TUNER_CHECK(fits(stored.down, down_shape) && fits(stored.up, up_shape), "[LoRA] ", detail::shortened(path),
                       ": found factors of shape ", detail::shape_text(stored.down.sizes()), " and ",
                       detail::shape_text(stored.up.sizes()), ", expected ", detail::shape_text(down_shape), " and ",
                       detail::shape_text(up_shape));
    const auto own = [&layer = layer](const Tensor& t) {
      return t.detach().to(layer->weight.device(), factor_type(*layer), /*non_blocking=*/false, /*copy=*/true);
    };
    lora.add(path, layer,
             LowRank{own(stored.down).reshape(down_shape), own(stored.up).reshape(up_shape), stored.scale});
  }
  lora.install(network);
  return lora;
}

REWARD_TUNER_INLINE std::vector<Tensor> Lora::parameters() const {
  std::vector<Tensor> all;
  for (const auto& item : named_parameters()) all.push_back(item.second);
  return all;
}

REWARD_TUNER_INLINE std::vector<std::pair<std::string, Tensor>> Lora::named_parameters() const {
  std::vector<std::pair<std::string, Tensor>> all;
  for (const auto& site : sites_) {
    all.emplace_back(site.path + ".lora_A.weight", site.adapter->factors.down);
    all.emplace_back(site.path + ".lora_B.weight", site.adapter->factors.up);
  }
  return all;
}

REWARD_TUNER_INLINE std::size_t Lora::num_parameters() const {
  std::size_t total = 0;
  for (const Tensor& p : parameters()) total += static_cast<std::size_t>(p.numel());
  return total;
}

REWARD_TUNER_INLINE void Lora::save(const std::filesystem::path& folder_or_file, double strength) const {
  std::map<std::string, std::vector<std::string>> targets;
  const bool special = std::any_of(options_.targets.begin(), options_.targets.end(),
                                   [](const std::string& t) { return t == "all" || t == "all-linear"; });
  if (!special) targets[prefix_] = options_.targets;
  write_lora(folder_or_file, {{prefix_, saved_layers(strength)}}, targets);
}

REWARD_TUNER_INLINE void Lora::set_scale(double scale) {
  REWARD_TUNER_CHECK(std::isfinite(scale), "[LoRA] the scale must be finite, got ", scale);
  strength_ = scale;
  for (const auto& site : sites_) {
    site.adapter->factors.scale = site.base_scale * scale;
    if (attached_) site.layer->set_mode(site.layer->mode());  // a merged weight is computed anew
  }
}

REWARD_TUNER_INLINE void Lora::freeze() {
  frozen_ = true;
  for (const auto& site : sites_) {
    site.adapter->frozen = true;
    site.adapter->factors.down.requires_grad_(false);
    site.adapter->factors.up.requires_grad_(false);
  }
}

REWARD_TUNER_INLINE void Lora::keep_reference() {
  for (const auto& site : sites_) {
    const auto& [down, up, scale] = site.adapter->factors;
    site.adapter->kept = LowRank{down.detach().clone(), up.detach().clone(), scale};
  }
}

REWARD_TUNER_INLINE void Lora::detach() {
  if (!attached_) return;
  for (const auto& site : sites_) site.layer->detach(site.adapter);
  attached_ = false;
}

REWARD_TUNER_INLINE void Lora::merge() {
  REWARD_TUNER_CHECK(attached_, "[LoRA] merge() expected attached adapters, got them detached or merged already");
  const torch::NoGradGuard no_grad;
  for (const auto& site : sites_) {
    const Tensor delta = site.adapter->factors.delta();
    site.layer->weight.copy_(site.layer->weight.to(delta.scalar_type()) + delta);
  }
  detach();
}

REWARD_TUNER_INLINE Lora::Layers Lora::adaptable_layers(const torch::nn::Module& network) {
  Layers layers;
  for (const auto& item : network.named_modules("", /*include_self=*/false))
    if (auto layer = std::dynamic_pointer_cast<AdaptableLayer>(item.value()))
      layers.emplace(item.key(), std::move(layer));
  return layers;
}

REWARD_TUNER_INLINE Lora::Layers Lora::choose(const Layers& all, const std::vector<std::string>& targets) {
  Layers chosen;
  for (const auto& target : targets) {
    bool found = false;
    for (const auto& [path, layer] : all) {
      const bool linear = layer->weight.dim() == 2;
      if (target == "all" || (target == "all-linear" ? linear : detail::lora_target_matches(path, target))) {
        chosen.emplace(path, layer);
        found = true;
      }
    }
    std::vector<std::string> names;
    for (const auto& item : all) names.push_back(item.first);
    REWARD_TUNER_CHECK(found, "[LoRA] no layer is called '", target, "' or ends with '.", target, "'",
                       detail::problem_list("adaptable layers", names));
  }
  REWARD_TUNER_CHECK(!chosen.empty(), "[LoRA] expected at least one target, got none");
  return chosen;
}

REWARD_TUNER_INLINE at::ScalarType Lora::factor_type(const AdaptableLayer& layer) {
  return layer.weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

REWARD_TUNER_INLINE void Lora::add(const std::string& path, const std::shared_ptr<AdaptableLayer>& layer,
                                   LowRank factors) {
  factors.down.requires_grad_(true);
  factors.up.requires_grad_(true);
  const double scale = factors.scale;
  sites_.push_back({path, layer, std::make_shared<Adapter>(Adapter{.factors = std::move(factors)}), scale});
}

REWARD_TUNER_INLINE void Lora::install(torch::nn::Module& network) {
  for (auto& parameter : network.parameters()) parameter.requires_grad_(false);
  for (const auto& site : sites_) site.layer->attach(site.adapter);
  attached_ = true;
}

REWARD_TUNER_INLINE LoraLayers Lora::saved_layers(double strength) const {
  REWARD_TUNER_CHECK(
      strength_ != 0,
      "[LoRA] a file of adapters at the strength 0 would hold nothing of them: expected set_scale() with "
      "the strength that the file shall have, got 0");
  REWARD_TUNER_CHECK(strength != 0 && std::isfinite(strength),
                     "[LoRA] the strength of a file must be a finite number other than 0, got ", strength);
  LoraLayers all;
  for (const auto& site : sites_) {
    LowRank& saved = all[site.path] = site.adapter->factors;
    saved.scale *= strength;
  }
  return all;
}

}  // namespace reward_tuner
