// Definitions of autoencoder_kl.hpp.
#pragma once
#include <reward_tuner/models/autoencoder_kl.hpp>

#include <array>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/models/config_limits.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE AutoencoderKLConfig AutoencoderKLConfig::load(const std::filesystem::path& file) {
  return from_json(read_json(file), file.string());
}

REWARD_TUNER_INLINE AutoencoderKLConfig AutoencoderKLConfig::from_json(const nlohmann::json& json,
                                                                       const std::string& where) {
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

REWARD_TUNER_INLINE nlohmann::json AutoencoderKLConfig::to_json() const {
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

REWARD_TUNER_INLINE void AutoencoderKLConfig::check(const std::string& where) const {
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
  REWARD_TUNER_CHECK(scaling_factor > 0 && std::isfinite(scaling_factor), "[", where,
                     "] expected a positive scaling_factor, got ", scaling_factor);
  REWARD_TUNER_CHECK(std::isfinite(shift_factor), "[", where, "] expected a finite shift_factor, got ", shift_factor);
}

REWARD_TUNER_INLINE void AutoencoderKLConfig::check_types(const std::string& where, const char* key,
                                                          const std::vector<std::string>& found, const char* wanted,
                                                          std::size_t levels) {
  REWARD_TUNER_CHECK(found.size() == levels, "[", where, "] expected ", levels, " entries in ", key,
                     " as in block_out_channels, got ", found.size());
  for (const auto& type : found)
    REWARD_TUNER_CHECK(type == wanted, "[", where, "] unsupported ", key, ": expected ", wanted, ", got ", type);
}

REWARD_TUNER_INLINE AutoencoderKL::AutoencoderKL(AutoencoderKLConfig config) : config_(std::move(config)) {
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

REWARD_TUNER_INLINE Tensor AutoencoderKL::encode_moments(const Tensor& images) const {
  REWARD_TUNER_CHECK(images.dim() == 4 && images.size(1) == config_.in_channels, "[AutoencoderKL] expected images [B,",
                     config_.in_channels, ",H,W], got ", images.sizes());
  const Tensor moments = encoder_->forward(images);              // [B,2*latent,h,w]
  return quant_conv_ ? quant_conv_->forward(moments) : moments;  // [B,2*latent,h,w]
}

REWARD_TUNER_INLINE Tensor AutoencoderKL::decode(const Tensor& latents) const {
  REWARD_TUNER_CHECK(latents.dim() == 4 && latents.size(1) == config_.latent_channels,
                     "[AutoencoderKL] expected latents [B,", config_.latent_channels, ",h,w], got ", latents.sizes());
  return decoder_->forward(post_quant_conv_ ? post_quant_conv_->forward(latents) : latents);  // [B,3,H,W]
}

REWARD_TUNER_INLINE void AutoencoderKL::set_tiling(bool on, std::int64_t strip) {
  REWARD_TUNER_CHECK(strip >= 1, "[AutoencoderKL] set_tiling expected strips of at least 1 number, got ", strip);
  encoder_->set_strip(on ? strip : 0);
  decoder_->set_strip(on ? strip : 0);
}

REWARD_TUNER_INLINE std::string rename_legacy_vae_key(std::string key) {
  static constexpr std::array<std::pair<const char*, const char*>, 4> kNames{
      {{".query.", ".to_q."}, {".key.", ".to_k."}, {".value.", ".to_v."}, {".proj_attn.", ".to_out.0."}}};
  if (key.find("mid_block.attentions.") == std::string::npos) return key;
  for (const auto& [old_name, new_name] : kNames)
    if (const auto at = key.find(old_name); at != std::string::npos)
      return key.replace(at, std::string(old_name).size(), new_name);
  return key;
}

}  // namespace reward_tuner
