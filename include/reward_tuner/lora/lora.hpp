// Low-rank adapters on the layers of a network: attach, train, scale, save, load, merge (Hu et al. 2021, LoRA).
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/layers/adaptable_layer.hpp>
#include <reward_tuner/lora/lora_files.hpp>

namespace reward_tuner {

namespace detail {

/// to_q, to_k, to_v and to_out.0. A function: g++ 12 fails on a default member initializer that is a list of strings as
/// soon as a template writes the options.
std::vector<std::string> attention_targets();

}  // namespace detail

/// Which layers get adapters, and their size.
struct LoraOptions {
  std::int64_t rank = 8;  ///< columns of A and B, >= 1
  double alpha = 0;       ///< dW = alpha / rank * B A; 0 means alpha = rank, i.e. a factor of 1
  /// A layer is adapted if its path equals a name or ends with "." + name (peft's rule). "all-linear": every Linear;
  /// "all": every Linear and Conv2d.
  std::vector<std::string> targets = detail::attention_targets();
  std::uint64_t seed = 0;  ///< of the initial A
};
REWARD_TUNER_FIELDS(LoraOptions, rank, alpha, targets, seed);

/// Errors: rank < 1, alpha negative or not finite.
void check_options(const LoraOptions& o);

/// The adapters of one network. A ~ N(0, 1/rank^2) (peft's "gaussian"), B = 0, so that the network starts unchanged.
/// The factors are float32 (double in a double network), apart from the network's own parameters, and share the layers'
/// stride and padding. Several on one network add up, each with its scale; frozen ones are a part of the model.
/// Example: Lora lora = Lora::attach(*unet, {.rank = 4}); AdamW optimizer(lora.parameters()); ...
/// lora.save("run/lora");
class Lora {
 public:
  /// Freezes every parameter of `network` and puts fresh adapters on the target layers. `prefix` is the network's name
  /// in files.
  /// Errors: an option out of range, a target without a layer.
  static Lora attach(torch::nn::Module& network, LoraOptions options = {}, std::string prefix = "unet");

  /// Puts the adapter of a file (see read_lora) on `network` and freezes the network's own parameters. Ranks may differ
  /// between layers; options() then reports the first layer's. For a file that adapts a text encoder too, see
  /// load_lora in models/pipeline_lora.hpp. Errors: see read_lora; shapes that do not fit a layer.
  static Lora load(torch::nn::Module& network, const std::filesystem::path& folder_or_file,
                   std::string prefix = "unet");

  /// The same with factors in memory; at least one.
  static Lora from_layers(torch::nn::Module& network, const LoraLayers& layers, std::string prefix = "unet");

  /// The paths of the layers that can be adapted, sorted.
  static std::vector<std::string> layer_paths(const torch::nn::Module& network);

  Lora(Lora&&) = default;
  Lora& operator=(Lora&&) = default;
  Lora(const Lora&) = delete;
  Lora& operator=(const Lora&) = delete;

  /// A and B of every layer, layers sorted by path: what an optimizer trains.
  std::vector<Tensor> parameters() const;
  /// The same with the names "<path>.lora_A.weight" and "<path>.lora_B.weight".
  std::vector<std::pair<std::string, Tensor>> named_parameters() const;
  /// Number of trained elements.
  std::size_t num_parameters() const;
  /// Number of adapted layers.
  std::size_t num_layers() const { return sites_.size(); }

  /// Writes what diffusers' `load_lora_weights` and peft load: a path that ends in .safetensors is the file, any other
  /// a folder for pytorch_lora_weights.safetensors. alpha / rank and `scale()` are folded into B, so that the file at
  /// strength 1 is the network as it is now. After loading, A and B are the same bits if that factor is 1, B A times
  /// the scale is if it is a power of two, and B is rounded once more otherwise. With `strength` the file at strength 1
  /// is the network at that strength: DRTune's SDXL model is used at 0.7 of what was trained. Errors: a scale or a
  /// strength of 0.
  void save(const std::filesystem::path& folder_or_file, double strength = 1) const;
  /// Writes Kohya's format: unchanged factors, and alpha, which carries the scale. Bit-equal after loading. For SDXL,
  /// whose layers have other names, see save_loras_kohya in models/pipeline_lora.hpp. Errors: a scale of 0.
  void save_kohya(const std::filesystem::path& file) const { write_lora_kohya(file, {{prefix_, saved_layers()}}); }

  /// Strength of the adapters, on top of alpha / rank: 1 as trained, 0 the base network.
  void set_scale(double scale);
  double scale() const { return strength_; }

  /// Makes the adapters a part of the model: no gradient reaches them, and the reference network has them too.
  void freeze();
  bool frozen() const { return frozen_; }

  /// Gives the reference network a copy of the adapters as they are now, in place of none.
  void keep_reference();

  /// The factors by layer, views; `scale` is alpha / rank times scale() times `strength`: what a file says. Errors: a
  /// scale of 0, a strength of 0 or not finite.
  LoraLayers saved_layers(double strength = 1) const;

  /// Takes the adapters off the network, which stays frozen. The factors stay here and can be saved. Does nothing the
  /// second time.
  void detach();

  /// Adds scale * alpha / rank * B A to the base weights for good, then detaches.
  void merge();

  const LoraOptions& options() const { return options_; }
  const std::string& prefix() const { return prefix_; }

 private:
  using Layers = std::map<std::string, std::shared_ptr<AdaptableLayer>>;
  struct Site {
    std::string path;
    std::shared_ptr<AdaptableLayer> layer;
    std::shared_ptr<Adapter> adapter;
    double base_scale;  // alpha / rank
  };

  Lora(LoraOptions options, std::string prefix) : options_(std::move(options)), prefix_(std::move(prefix)) {}

  static Layers adaptable_layers(const torch::nn::Module& network);

  static Layers choose(const Layers& all, const std::vector<std::string>& targets);

  static at::ScalarType factor_type(const AdaptableLayer& layer);

  void add(const std::string& path, const std::shared_ptr<AdaptableLayer>& layer, LowRank factors);

  /// The last step of attaching, when nothing can fail any more.
  void install(torch::nn::Module& network);

  LoraOptions options_;
  std::string prefix_;
  std::vector<Site> sites_;
  double strength_ = 1.0;
  bool attached_ = false, frozen_ = false;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/lora/lora.ipp>
#endif
