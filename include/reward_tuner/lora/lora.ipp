// Definitions of lora.hpp.
#pragma once
#include <reward_tuner/lora/lora.hpp>

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE Lora Lora::attach(torch::nn::Module& network, LoraOptions options, std::string prefix) {
  REWARD_TUNER_CHECK(options.rank >= 1, "[LoRA] rank must be at least 1, got ", options.rank);
  REWARD_TUNER_CHECK(std::isfinite(options.alpha) && options.alpha >= 0, "[LoRA] alpha must be finite and >= 0, got ",
                     options.alpha);
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

REWARD_TUNER_INLINE Lora Lora::load(torch::nn::Module& network, const std::filesystem::path& folder_or_file,
                                    std::string prefix) {
  const auto all = adaptable_layers(network);
  std::vector<std::string> paths;
  for (const auto& item : all) paths.push_back(item.first);
  const LoraLayers layers = read_lora(folder_or_file, paths, prefix);
  LoraOptions options;
  options.rank = layers.begin()->second.down.size(0);
  options.alpha = layers.begin()->second.scale * static_cast<double>(options.rank);
  options.targets.clear();
  for (const auto& item : layers) options.targets.push_back(item.first);
  Lora lora(std::move(options), std::move(prefix));
  for (const auto& [path, stored] : layers) {
    const auto& layer = all.at(path);
    auto down_shape = layer->weight.sizes().vec(), up_shape = std::vector<std::int64_t>(down_shape.size(), 1);
    up_shape[0] = down_shape[0];
    down_shape[0] = up_shape[1] = stored.down.size(0);
    REWARD_TUNER_CHECK(
        stored.down.sizes() == at::IntArrayRef(down_shape) && stored.up.sizes() == at::IntArrayRef(up_shape), "[LoRA] ",
        detail::shortened(path), ": found factors of shape ", detail::shape_text(stored.down.sizes()), " and ",
        detail::shape_text(stored.up.sizes()), ", expected ", detail::shape_text(down_shape), " and ",
        detail::shape_text(up_shape));
    const auto own = [&layer = layer](const Tensor& t) {
      return t.to(layer->weight.device(), factor_type(*layer), /*non_blocking=*/false, /*copy=*/true);
    };
    lora.add(path, layer, LowRank{own(stored.down), own(stored.up), stored.scale});
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
    all.emplace_back(site.path + ".lora_A.weight", site.adapter->down);
    all.emplace_back(site.path + ".lora_B.weight", site.adapter->up);
  }
  return all;
}

REWARD_TUNER_INLINE std::size_t Lora::num_parameters() const {
  std::size_t total = 0;
  for (const Tensor& p : parameters()) total += static_cast<std::size_t>(p.numel());
  return total;
}

REWARD_TUNER_INLINE void Lora::save(const std::filesystem::path& folder_or_file) const {
  const bool special = std::any_of(options_.targets.begin(), options_.targets.end(),
                                   [](const std::string& t) { return t == "all" || t == "all-linear"; });
  write_lora(folder_or_file, layers(), prefix_, special ? std::vector<std::string>{} : options_.targets);
}

REWARD_TUNER_INLINE void Lora::set_scale(double scale) {
  REWARD_TUNER_CHECK(std::isfinite(scale), "[LoRA] the scale must be finite, got ", scale);
  strength_ = scale;
  for (const auto& site : sites_) {
    site.adapter->scale = site.base_scale * scale;
    if (attached_) site.layer->set_mode(site.layer->mode());  // a merged weight is computed anew
  }
}

REWARD_TUNER_INLINE void Lora::detach() {
  if (!attached_) return;
  for (const auto& site : sites_) site.layer->attach(nullptr);
  attached_ = false;
}

REWARD_TUNER_INLINE void Lora::merge() {
  REWARD_TUNER_CHECK(attached_, "[LoRA] merge() expected attached adapters, got them detached or merged already");
  const torch::NoGradGuard no_grad;
  for (const auto& site : sites_) {
    const Tensor delta = site.adapter->delta();
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
                                   LowRank adapter) {
  REWARD_TUNER_CHECK(!layer->adapter(), "[LoRA] the layer ", detail::shortened(path),
                     " already carries an adapter; merge or detach it first");
  adapter.down.requires_grad_(true);
  adapter.up.requires_grad_(true);
  const double scale = adapter.scale;
  sites_.push_back({path, layer, std::make_shared<LowRank>(std::move(adapter)), scale});
}

REWARD_TUNER_INLINE void Lora::install(torch::nn::Module& network) {
  for (auto& parameter : network.parameters()) parameter.requires_grad_(false);
  for (const auto& site : sites_) site.layer->attach(site.adapter);
  attached_ = true;
}

REWARD_TUNER_INLINE LoraLayers Lora::layers() const {
  LoraLayers all;
  for (const auto& site : sites_) all[site.path] = LowRank{site.adapter->down, site.adapter->up, site.base_scale};
  return all;
}

}  // namespace reward_tuner
