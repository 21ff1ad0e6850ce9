// Low-rank adapters on the layers of a network: attach, train, scale, save, load, merge (Hu et al. 2021, LoRA).
#pragma once
#include <ATen/ops/zeros.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/layers/adaptable_layer.hpp>
#include <reward_tuner/lora/lora_files.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// Which layers get adapters and of what size.
struct LoraOptions {
  std::int64_t rank = 8;  ///< columns of A and B, >= 1
  double alpha = 0;       ///< dW = alpha / rank * B A; 0 means alpha = rank, i.e. a factor of 1
  /// A layer is adapted if its path equals a name or ends with "." + name (peft's rule). "all-linear": every Linear;
  /// "all": every Linear and Conv2d.
  std::vector<std::string> targets = {"to_q", "to_k", "to_v", "to_out.0"};
  std::uint64_t seed = 0;  ///< of the initial A
};

/// The adapters of one network. A ~ N(0, 1/rank^2) (peft's "gaussian"), B = 0, so that the network starts unchanged.
/// The factors are float32 (double in a double network), apart from the network's own parameters, and share the layers'
/// stride and padding.
/// Example: Lora lora = Lora::attach(*unet, {.rank = 4}); AdamW optimizer(lora.parameters()); ...
/// lora.save("run/lora");
class Lora {
 public:
  /// Freezes every parameter of `network` and puts fresh adapters on the target layers. `prefix` is the network's name
  /// in files.
  /// Errors: rank < 1, a target without a layer, a layer that already has an adapter.
  static Lora attach(torch::nn::Module& network, LoraOptions options = {}, std::string prefix = "unet") {
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

  /// Puts the adapter of a file (peft, diffusers or Kohya names, see read_lora) on `network` and freezes the network's
  /// own parameters. Ranks may differ between layers; options() then reports the first layer's. Errors: see read_lora;
  /// shapes that do not fit a layer.
  static Lora load(torch::nn::Module& network, const std::filesystem::path& folder_or_file,
                   std::string prefix = "unet") {
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
          stored.down.sizes() == at::IntArrayRef(down_shape) && stored.up.sizes() == at::IntArrayRef(up_shape),
          "[LoRA] ", detail::shortened(path), ": found factors of shape ", detail::shape_text(stored.down.sizes()),
          " and ", detail::shape_text(stored.up.sizes()), ", expected ", detail::shape_text(down_shape), " and ",
          detail::shape_text(up_shape));
      const auto own = [&layer = layer](const Tensor& t) {
        return t.to(layer->weight.device(), factor_type(*layer), /*non_blocking=*/false, /*copy=*/true);
      };
      lora.add(path, layer, LowRank{own(stored.down), own(stored.up), stored.scale});
    }
    lora.install(network);
    return lora;
  }

  Lora(Lora&&) = default;
  Lora& operator=(Lora&&) = default;
  Lora(const Lora&) = delete;
  Lora& operator=(const Lora&) = delete;

  /// A and B of every layer, layers sorted by path: what an optimizer trains.
  std::vector<Tensor> parameters() const {
    std::vector<Tensor> all;
    for (const auto& item : named_parameters()) all.push_back(item.second);
    return all;
  }
  /// The same with the names "<path>.lora_A.weight" and "<path>.lora_B.weight".
  std::vector<std::pair<std::string, Tensor>> named_parameters() const {
    std::vector<std::pair<std::string, Tensor>> all;
    for (const auto& site : sites_) {
      all.emplace_back(site.path + ".lora_A.weight", site.adapter->down);
      all.emplace_back(site.path + ".lora_B.weight", site.adapter->up);
    }
    return all;
  }
  /// How many numbers are trained.
  std::size_t num_parameters() const {
    std::size_t total = 0;
    for (const Tensor& p : parameters()) total += static_cast<std::size_t>(p.numel());
    return total;
  }
  /// How many layers are adapted.
  std::size_t num_layers() const { return sites_.size(); }

  /// Writes what diffusers' `load_lora_weights` and peft load: a path that ends in .safetensors is the file, any other
  /// a folder for pytorch_lora_weights.safetensors. alpha / rank is folded into B; `set_scale` is not saved. After
  /// loading, A and B are the same bits if alpha = rank, B A times the scale is if alpha / rank is a power of two, and
  /// B is rounded once more otherwise.
  void save(const std::filesystem::path& folder_or_file) const {
    const bool special = std::any_of(options_.targets.begin(), options_.targets.end(),
                                     [](const std::string& t) { return t == "all" || t == "all-linear"; });
    write_lora(folder_or_file, layers(), prefix_, special ? std::vector<std::string>{} : options_.targets);
  }
  /// Writes Kohya's form, with alpha beside the unchanged factors: always the same bits after loading.
  void save_kohya(const std::filesystem::path& file) const { write_lora_kohya(file, layers(), prefix_); }

  /// Strength of the adapters, on top of alpha / rank: 1 as trained, 0 the base network. Not saved.
  void set_scale(double scale) {
    REWARD_TUNER_CHECK(std::isfinite(scale), "[LoRA] the scale must be finite, got ", scale);
    strength_ = scale;
    for (const auto& site : sites_) {
      site.adapter->scale = site.base_scale * scale;
      if (attached_) site.layer->set_mode(site.layer->mode());  // a merged weight is computed anew
    }
  }
  double scale() const { return strength_; }

  /// Takes the adapters off the network, which stays frozen. The factors stay here and can be saved. Does nothing the
  /// second time.
  void detach() {
    if (!attached_) return;
    for (const auto& site : sites_) site.layer->attach(nullptr);
    attached_ = false;
  }

  /// Adds scale * alpha / rank * B A to the base weights for good, then detaches.
  void merge() {
    REWARD_TUNER_CHECK(attached_, "[LoRA] merge() expected attached adapters, got them detached or merged already");
    const torch::NoGradGuard no_grad;
    for (const auto& site : sites_) {
      const Tensor delta = site.adapter->delta();
      site.layer->weight.copy_(site.layer->weight.to(delta.scalar_type()) + delta);
    }
    detach();
  }

  const LoraOptions& options() const { return options_; }
  const std::string& prefix() const { return prefix_; }

 private:
  using Layers = std::map<std::string, std::shared_ptr<AdaptableLayer>>;
  struct Site {
    std::string path;
    std::shared_ptr<AdaptableLayer> layer;
    std::shared_ptr<LowRank> adapter;
    double base_scale;  // alpha / rank
  };

  Lora(LoraOptions options, std::string prefix) : options_(std::move(options)), prefix_(std::move(prefix)) {}

  static Layers adaptable_layers(const torch::nn::Module& network) {
    Layers layers;
    for (const auto& item : network.named_modules("", /*include_self=*/false))
      if (auto layer = std::dynamic_pointer_cast<AdaptableLayer>(item.value()))
        layers.emplace(item.key(), std::move(layer));
    return layers;
  }

  static Layers choose(const Layers& all, const std::vector<std::string>& targets) {
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

  static at::ScalarType factor_type(const AdaptableLayer& layer) {
    return layer.weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  }

  void add(const std::string& path, const std::shared_ptr<AdaptableLayer>& layer, LowRank adapter) {
    REWARD_TUNER_CHECK(!layer->adapter(), "[LoRA] the layer ", detail::shortened(path),
                       " already carries an adapter; merge or detach it first");
    adapter.down.requires_grad_(true);
    adapter.up.requires_grad_(true);
    const double scale = adapter.scale;
    sites_.push_back({path, layer, std::make_shared<LowRank>(std::move(adapter)), scale});
  }

  /// The last step of attaching, when nothing can fail any more.
  void install(torch::nn::Module& network) {
    for (auto& parameter : network.parameters()) parameter.requires_grad_(false);
    for (const auto& site : sites_) site.layer->attach(site.adapter);
    attached_ = true;
  }

  LoraLayers layers() const {
    LoraLayers all;
    for (const auto& site : sites_) all[site.path] = LowRank{site.adapter->down, site.adapter->up, site.base_scale};
    return all;
  }

  LoraOptions options_;
  std::string prefix_;
  std::vector<Site> sites_;
  double strength_ = 1.0;
  bool attached_ = false;
};

}  // namespace reward_tuner
