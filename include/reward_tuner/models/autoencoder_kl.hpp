// The image autoencoder of Stable Diffusion: images to latents and back, with diffusers' config and parameter names.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/models/config_limits.hpp>
#include <reward_tuner/models/layers.hpp>
#include <reward_tuner/models/vae_blocks.hpp>

namespace reward_tuner {

/// Shape of an AutoencoderKL. The defaults are Stable Diffusion 1.5.
struct AutoencoderKLConfig {
  std::int64_t in_channels = 3;      ///< channels of images
  std::int64_t out_channels = 3;     ///< channels of decoded images
  std::int64_t latent_channels = 4;  ///< channels of latents
  /// width of every level; each level after the first halves the side
  std::vector<std::int64_t> block_out_channels = {128, 256, 512, 512};
  std::int64_t layers_per_block = 2;    ///< residual blocks of an encoder level
  std::int64_t norm_num_groups = 32;    ///< groups of all group normalizations
  std::int64_t sample_size = 512;       ///< side of the training images; informative
  double scaling_factor = 0.18215;      ///< the diffusion model sees (latent - shift_factor) * scaling_factor
  double shift_factor = 0.0;            ///< 0 for all Stable Diffusion models before version 3
  bool use_quant_conv = true;           ///< 1x1 convolution behind the encoder
  bool use_post_quant_conv = true;      ///< 1x1 convolution before the decoder
  bool mid_block_add_attention = true;  ///< attention at the lowest resolution
  bool force_upcast = true;             ///< kept for the file only: the caller chooses the dtype by module.to(...)

  /// `from_json` of a file, which errors name.
  static AutoencoderKLConfig load(const std::filesystem::path& file) { return from_json(read_json(file), file.string()); }

  /// Reads a config.json. Absent keys have diffusers' defaults. Throws for unknown keys and for values that this
  /// library cannot build.
  static AutoencoderKLConfig from_json(const nlohmann::json& json, std::string where = "vae/config.json") {
    ConfigReader reader(json, where);
    AutoencoderKLConfig c;
    c.in_channels = reader.optional<std::int64_t>("in_channels", 3);
    c.out_channels = reader.optional<std::int64_t>("out_channels", 3);
    c.latent_channels = reader.optional<std::int64_t>("latent_channels", 4);
    c.block_out_channels = reader.optional<std::vector<std::int64_t>>("block_out_channels", {64});
    c.layers_per_block = reader.optional<std::int64_t>("layers_per_block", 1);
    c.norm_num_groups = reader.optional<std::int64_t>("norm_num_groups", 32);
    c.sample_size = reader.optional<std::int64_t>("sample_size", 32);
    c.scaling_factor = reader.optional<double>("scaling_factor", 0.18215);
    c.shift_factor = reader.optional<double>("shift_factor", 0.0);
    c.use_quant_conv = reader.optional<bool>("use_quant_conv", true);
    c.use_post_quant_conv = reader.optional<bool>("use_post_quant_conv", true);
    c.mid_block_add_attention = reader.optional<bool>("mid_block_add_attention", true);
    c.force_upcast = reader.optional<bool>("force_upcast", true);
    // two names of one function
    if (const auto act = reader.optional<std::string>("act_fn", "silu"); act != "silu" && act != "swish")
      detail::fail("[", where, "] unsupported act_fn: expected \"silu\", got \"", act, "\"");
    reader.expect("latents_mean", nullptr, "normalization of latents by channel is not built here");
    reader.expect("latents_std", nullptr, "normalization of latents by channel is not built here");
    const std::size_t n = c.block_out_channels.size();
    using Names = std::vector<std::string>;
    check_types(where, "down_block_types", reader.optional<Names>("down_block_types", {"DownEncoderBlock2D"}),
                "DownEncoderBlock2D", n);
    check_types(where, "up_block_types", reader.optional<Names>("up_block_types", {"UpDecoderBlock2D"}),
                "UpDecoderBlock2D", n);
    reader.finish();
    c.check(where);
    return c;
  }

  /// A config.json that diffusers loads.
  nlohmann::json to_json() const {
    const std::size_t n = block_out_channels.size();
    return {{"_class_name", "AutoencoderKL"},
            {"in_channels", in_channels},
            {"out_channels", out_channels},
            {"latent_channels", latent_channels},
            {"down_block_types", std::vector<std::string>(n, "DownEncoderBlock2D")},
            {"up_block_types", std::vector<std::string>(n, "UpDecoderBlock2D")},
            {"block_out_channels", block_out_channels},
            {"layers_per_block", layers_per_block},
            {"act_fn", "silu"},
            {"norm_num_groups", norm_num_groups},
            {"sample_size", sample_size},
            {"scaling_factor", scaling_factor},
            {"shift_factor", shift_factor == 0.0 ? nlohmann::json(nullptr) : nlohmann::json(shift_factor)},
            {"use_quant_conv", use_quant_conv},
            {"use_post_quant_conv", use_post_quant_conv},
            {"mid_block_add_attention", mid_block_add_attention},
            {"force_upcast", force_upcast}};
  }

  /// Throws unless the fields fit each other.
  void check(const std::string& where = "AutoencoderKLConfig") const {
    REWARD_TUNER_CHECK(!block_out_channels.empty(), "[", where,
                       "] expected at least one entry in block_out_channels, got none");
    for (const auto value : block_out_channels)
      REWARD_TUNER_CHECK(value > 0, "[", where, "] expected positive numbers in block_out_channels, got ", value);
    REWARD_TUNER_CHECK(layers_per_block > 0 && in_channels > 0 && out_channels > 0 && latent_channels > 0, "[", where,
                       "] expected positive layers_per_block, in_channels, out_channels, latent_channels, got ",
                       layers_per_block, ", ", in_channels, ", ", out_channels, ", ", latent_channels);
    REWARD_TUNER_CHECK(norm_num_groups > 0, "[", where, "] expected a positive norm_num_groups, got ", norm_num_groups);
    detail::check_at_most(where, "the levels (entries of block_out_channels)",
                          {static_cast<std::int64_t>(block_out_channels.size())}, ConfigLimits::kLevels);
    detail::check_at_most(where, "block_out_channels", block_out_channels, ConfigLimits::kWidth);
    detail::check_at_most(where, "layers_per_block", {layers_per_block}, ConfigLimits::kLayers);
    detail::check_at_most(where, "in_channels, out_channels, latent_channels and norm_num_groups",
                          {in_channels, out_channels, latent_channels, norm_num_groups}, ConfigLimits::kWidth);
    REWARD_TUNER_CHECK(scaling_factor > 0, "[", where, "] expected a positive scaling_factor, got ", scaling_factor);
  }

  /// Pixels of an image's side per latent pixel.
  std::int64_t reduction() const { return std::int64_t{1} << (block_out_channels.size() - 1); }

 private:
  static void check_types(const std::string& where, const char* key, const std::vector<std::string>& found,
                          const char* wanted, std::size_t levels) {
    REWARD_TUNER_CHECK(found.size() == levels, "[", where, "] expected ", levels, " entries in ", key,
                       " as in block_out_channels, got ", found.size());
    for (const auto& type : found)
      REWARD_TUNER_CHECK(type == wanted, "[", where, "] unsupported ", key, ": expected ", wanted, ", got ", type);
  }
};

/// Variational autoencoder of latent diffusion (Rombach et al. 2022); names and numbers as diffusers' AutoencoderKL.
/// All parameters require gradients at first and are uninitialized until weights are loaded or `initialize` is called.
class AutoencoderKL : public torch::nn::Module {
 public:
  explicit AutoencoderKL(AutoencoderKLConfig config) : config_(std::move(config)) {
    config_.check();
    const auto& c = config_;
    const std::int64_t moments = 2 * c.latent_channels;
    const VaeStackOptions stack{.widths = c.block_out_channels,
                                .layers = c.layers_per_block,
                                .groups = c.norm_num_groups,
                                .mid_attention = c.mid_block_add_attention};
    encoder_ = register_module("encoder", std::make_shared<VaeEncoder>(c.in_channels, moments, stack));
    decoder_ = register_module("decoder", std::make_shared<VaeDecoder>(c.latent_channels, c.out_channels, stack));
    if (c.use_quant_conv) quant_conv_ = register_module("quant_conv", std::make_shared<Conv2d>(moments, moments, 1));
    if (c.use_post_quant_conv)
      post_quant_conv_ =
          register_module("post_quant_conv", std::make_shared<Conv2d>(c.latent_channels, c.latent_channels, 1));
  }

  /// Mean and log-variance of the latents' normal distribution, stacked along the channels. images [B,3,H,W] in [-1,1]
  /// -> [B,2*latent_channels,h,w] with h and w the sides divided by config().reduction(), rounded down. Clamp the
  /// log-variance to [-30,20] before use, as diffusers does (see `latent_std`).
  Tensor encode_moments(const Tensor& images) const {
    REWARD_TUNER_CHECK(images.dim() == 4 && images.size(1) == config_.in_channels,
                       "[AutoencoderKL] expected images [B,", config_.in_channels, ",H,W], got ", images.sizes());
    const Tensor moments = encoder_->forward(images);              // [B,2*latent,h,w]
    return quant_conv_ ? quant_conv_->forward(moments) : moments;  // [B,2*latent,h,w]
  }

  /// Mean half of the moments.  [B,2C,h,w] -> [B,C,h,w]
  static Tensor latent_mean(const Tensor& moments) { return moments.chunk(2, 1)[0]; }
  /// Standard deviation exp(logvar / 2) with the log-variance clamped to [-30,20].  [B,2C,h,w] -> [B,C,h,w]
  static Tensor latent_std(const Tensor& moments) { return (0.5 * moments.chunk(2, 1)[1].clamp(-30.0, 20.0)).exp(); }

  /// Images from UNSCALED latents, that is from x / scaling_factor + shift_factor. latents [B,latent_channels,h,w] ->
  /// [B,3,H,W], nominally in [-1,1] but not clamped. Differentiable in the latents.
  Tensor decode(const Tensor& latents) const {
    REWARD_TUNER_CHECK(latents.dim() == 4 && latents.size(1) == config_.latent_channels,
                       "[AutoencoderKL] expected latents [B,", config_.latent_channels, ",h,w], got ", latents.sizes());
    return decoder_->forward(post_quant_conv_ ? post_quant_conv_->forward(latents) : latents);  // [B,3,H,W]
  }

  const AutoencoderKLConfig& config() const { return config_; }

 private:
  AutoencoderKLConfig config_;
  std::shared_ptr<VaeEncoder> encoder_;
  std::shared_ptr<VaeDecoder> decoder_;
  std::shared_ptr<Conv2d> quant_conv_, post_quant_conv_;
};

/// Today's name of an autoencoder's weight: files written before diffusers 0.16 call the attention layers query, key,
/// value and proj_attn. Other names come back unchanged. Fits LoadOptions::rename.
inline std::string rename_legacy_vae_key(std::string key) {
  static constexpr std::array<std::pair<const char*, const char*>, 4> kNames{
      {{".query.", ".to_q."}, {".key.", ".to_k."}, {".value.", ".to_v."}, {".proj_attn.", ".to_out.0."}}};
  if (key.find("mid_block.attentions.") == std::string::npos) return key;
  for (const auto& [old_name, new_name] : kNames)
    if (const auto at = key.find(old_name); at != std::string::npos)
      return key.replace(at, std::string(old_name).size(), new_name);
  return key;
}

}  // namespace reward_tuner
