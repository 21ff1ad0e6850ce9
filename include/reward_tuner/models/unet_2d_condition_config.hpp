// The UNet's config.json as diffusers writes it: which keys exist, which values this library can build, and the way
// back to JSON.
#pragma once
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/models/config_limits.hpp>

namespace reward_tuner {

/// Sides of latents in latent pixels; one number means a square.
struct LatentSize {
  std::int64_t height = 0, width = 0;

  LatentSize() = default;
  LatentSize(std::int64_t side) : height(side), width(side) {}  // NOLINT(google-explicit-constructor)
  LatentSize(std::int64_t rows, std::int64_t columns) : height(rows), width(columns) {}
  bool operator==(const LatentSize&) const = default;
};

/// Shape of a UNet2DConditionModel. The defaults are Stable Diffusion 1.5. Lists per level run from the highest
/// resolution to the lowest.
struct UNet2DConditionConfig {
  std::optional<LatentSize> sample_size = 64;  ///< of the latents the network was trained on; informative
  std::int64_t in_channels = 4;                ///< channels of the noisy input
  std::int64_t out_channels = 4;               ///< channels of the prediction
  bool center_input_sample = false;            ///< feeds 2 x - 1 instead of x
  bool flip_sin_to_cos = true;                 ///< cosines before sines in the time projection
  double freq_shift = 0;                       ///< shift of the time projection's frequency exponents
  std::vector<std::string> down_block_types = {"CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D",
                                               "DownBlock2D"};
  bool mid_block = true;  ///< false where the file says mid_block_type null
  std::vector<std::string> up_block_types = {"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D",
                                             "CrossAttnUpBlock2D"};
  std::vector<std::int64_t> block_out_channels = {320, 640, 1280, 1280};  ///< width of every level
  /// residual blocks of a level going down; one more going up
  std::vector<std::int64_t> layers_per_block = {2, 2, 2, 2};
  std::int64_t downsample_padding = 1;  ///< 0 pads below and right only
  double mid_block_scale_factor = 1;    ///< divides the sums in the middle's residual blocks
  std::int64_t norm_num_groups = 32;    ///< groups of all group normalizations
  double norm_eps = 1e-5;               ///< of the residual blocks' and the last normalization
  std::vector<std::int64_t> cross_attention_dim = {768, 768, 768, 768};  ///< width of the condition at every level
  /// transformer blocks behind a residual block
  std::vector<std::int64_t> transformer_layers_per_block = {1, 1, 1, 1};
  /// NUMBER of heads at every level; diffusers keeps this old misnomer
  std::vector<std::int64_t> attention_head_dim = {8, 8, 8, 8};
  bool use_linear_projection = false;  ///< linear instead of 1x1 convolution around the transformers
  bool upcast_attention = false;       ///< attention in float32 for half precision networks
  /// width of the time embedding, default 4 times the first level
  std::optional<std::int64_t> time_embedding_dim = std::nullopt;
  std::int64_t conv_in_kernel = 3;           ///< odd side of the first convolution
  std::int64_t conv_out_kernel = 3;          ///< odd side of the last convolution
  bool text_time_embedding = false;          ///< addition_embed_type "text_time" (SDXL): see AddedCondition
  std::int64_t addition_time_embed_dim = 0;  ///< width of each projected number of time_ids; with text_time only
  std::int64_t projection_class_embeddings_input_dim = 0;  ///< P + 6 * addition_time_embed_dim; with text_time only

  /// Reads a config.json. Absent keys have diffusers' defaults. Throws for unknown keys, values that this library
  /// cannot build ("unsupported") and lists of the wrong length; `where` names the file in the messages.
  static UNet2DConditionConfig from_json(const nlohmann::json& json, const std::string& where = "unet/config.json");
  /// A config.json that diffusers loads.
  nlohmann::json to_json() const;
  /// Throws unless the fields fit each other.
  void check(const std::string& where = "UNet2DConditionConfig") const;
  std::size_t levels() const { return block_out_channels.size(); }
  /// Latent pixels of a side per pixel of the lowest level.
  std::int64_t reduction() const { return std::int64_t{1} << (levels() - 1); }
};

namespace detail {

/// One number for all levels or a list with one per level.
std::vector<std::int64_t> per_level(ConfigReader& reader, const nlohmann::json& json, const std::string& key,
                                    std::int64_t fallback, std::size_t levels, const std::string& where);

/// Sides given as null, one number or height and width.
std::optional<LatentSize> optional_size(ConfigReader& reader, const nlohmann::json& json, const std::string& key,
                                        const std::string& where);

}  // namespace detail

inline UNet2DConditionConfig UNet2DConditionConfig::from_json(const nlohmann::json& json, const std::string& where) {
  ConfigReader reader(json, where);
  UNet2DConditionConfig c;
  const UNet2DConditionConfig names;  // the defaults of the lists
  c.sample_size = detail::optional_size(reader, json, "sample_size", where);
  c.in_channels = reader.optional<std::int64_t>("in_channels", 4);
  c.out_channels = reader.optional<std::int64_t>("out_channels", 4);
  c.center_input_sample = reader.optional<bool>("center_input_sample", false);
  c.flip_sin_to_cos = reader.optional<bool>("flip_sin_to_cos", true);
  c.freq_shift = reader.optional<double>("freq_shift", 0.0);
  c.down_block_types = reader.optional<std::vector<std::string>>("down_block_types", names.down_block_types);
  c.up_block_types = reader.optional<std::vector<std::string>>("up_block_types", names.up_block_types);
  c.block_out_channels = reader.optional<std::vector<std::int64_t>>("block_out_channels", names.block_out_channels);
  c.mid_block = !(json.contains("mid_block_type") && json.at("mid_block_type").is_null());
  reader.expect("mid_block_type", "UNetMidBlock2DCrossAttn", "other middle blocks are not built here");
  const std::size_t n = c.levels();
  c.layers_per_block = detail::per_level(reader, json, "layers_per_block", 2, n, where);
  c.cross_attention_dim = detail::per_level(reader, json, "cross_attention_dim", 1280, n, where);
  c.transformer_layers_per_block = detail::per_level(reader, json, "transformer_layers_per_block", 1, n, where);
  c.attention_head_dim = detail::per_level(reader, json, "attention_head_dim", 8, n, where);
  c.downsample_padding = reader.optional<std::int64_t>("downsample_padding", 1);
  c.mid_block_scale_factor = reader.optional<double>("mid_block_scale_factor", 1.0);
  REWARD_TUNER_CHECK(!(json.contains("norm_num_groups") && json.at("norm_num_groups").is_null()), "[", where,
                     "] unsupported norm_num_groups: expected a number, got null; networks without group normalization "
                     "are not built here");
  c.norm_num_groups = reader.optional<std::int64_t>("norm_num_groups", 32);
  c.norm_eps = reader.optional<double>("norm_eps", 1e-5);
  c.use_linear_projection = reader.optional<bool>("use_linear_projection", false);
  c.upcast_attention = reader.optional<bool>("upcast_attention", false);
  if (reader.has_value("time_embedding_dim"))
    c.time_embedding_dim = reader.required<std::int64_t>("time_embedding_dim");
  c.conv_in_kernel = reader.optional<std::int64_t>("conv_in_kernel", 3);
  c.conv_out_kernel = reader.optional<std::int64_t>("conv_out_kernel", 3);
  c.text_time_embedding = reader.has_value("addition_embed_type");
  reader.expect("addition_embed_type", "text_time", "only SDXL's additional condition is built here");
  c.addition_time_embed_dim = reader.optional<std::int64_t>("addition_time_embed_dim", 0);
  c.projection_class_embeddings_input_dim = reader.optional<std::int64_t>("projection_class_embeddings_input_dim", 0);

  // two names of one function
  if (const auto act = reader.optional<std::string>("act_fn", "silu"); act != "silu" && act != "swish")
    detail::fail("[", where, "] unsupported act_fn: expected \"silu\", got \"", act, "\"");
  reader.expect("num_attention_heads", nullptr,
                "diffusers refuses it too; attention_head_dim holds the number of heads");
  reader.expect("only_cross_attention", false, "transformer blocks without self-attention are not built here");
  reader.expect("mid_block_only_cross_attention", false, "it belongs to another middle block");
  reader.expect("dual_cross_attention", false, "transformers with two conditions are not built here");
  reader.expect("reverse_transformer_layers_per_block", nullptr, "the way up mirrors the way down here");
  reader.expect("dropout", 0.0, "no layer of this library drops activations");
  reader.expect("encoder_hid_dim", nullptr, "projections of the condition are not built here");
  reader.expect("encoder_hid_dim_type", nullptr, "projections of the condition are not built here");
  reader.expect("class_embed_type", nullptr, "class conditions are not built here");
  reader.expect("num_class_embeds", nullptr, "class conditions are not built here");
  reader.expect("class_embeddings_concat", false, "class conditions are not built here");
  reader.expect("resnet_time_scale_shift", "default", "the time embedding is only added here");
  reader.expect("resnet_skip_time_act", false, "the time embedding passes an activation in every residual block here");
  reader.expect("resnet_out_scale_factor", 1.0,
                "only the middle's residual blocks can be scaled (mid_block_scale_factor)");
  reader.expect("time_embedding_type", "positional", "Fourier features of time are not built here");
  reader.expect("time_embedding_act_fn", nullptr, "no second activation of the time embedding is built here");
  reader.expect("timestep_post_act", nullptr, "no second activation of the time embedding is built here");
  reader.expect("time_cond_proj_dim", nullptr,
                "conditions on the guidance weight (latent consistency models) are not built here");
  reader.expect("attention_type", "default", "gated attention (GLIGEN) is not built here");
  reader.expect("cross_attention_norm", nullptr, "the condition is not normalized here");
  // diffusers reads it only for addition_embed_type "text", which is refused above
  reader.ignore({"addition_embed_type_num_heads"});
  reader.finish();
  c.check(where);
  return c;
}

inline void UNet2DConditionConfig::check(const std::string& where) const {
  const std::size_t n = levels();
  REWARD_TUNER_CHECK(n > 0, "[", where, "] expected at least one entry in block_out_channels, got none");
  detail::check_at_most(where, "the levels (entries of block_out_channels)", {static_cast<std::int64_t>(n)},
                        ConfigLimits::kLevels);
  const auto same_length = [&](const char* key, std::size_t found) {
    REWARD_TUNER_CHECK(found == n, "[", where, "] expected ", n, " entries in ", key, " as in block_out_channels, got ",
                       found);
  };
  same_length("down_block_types", down_block_types.size());
  same_length("up_block_types", up_block_types.size());
  same_length("layers_per_block", layers_per_block.size());
  same_length("cross_attention_dim", cross_attention_dim.size());
  same_length("transformer_layers_per_block", transformer_layers_per_block.size());
  same_length("attention_head_dim", attention_head_dim.size());
  for (const auto& type : down_block_types)
    REWARD_TUNER_CHECK(type == "DownBlock2D" || type == "CrossAttnDownBlock2D", "[", where,
                       "] unsupported down_block_types: expected DownBlock2D or CrossAttnDownBlock2D, got ", type);
  for (const auto& type : up_block_types)
    REWARD_TUNER_CHECK(type == "UpBlock2D" || type == "CrossAttnUpBlock2D", "[", where,
                       "] unsupported up_block_types: expected UpBlock2D or CrossAttnUpBlock2D, got ", type);
  const auto positive = [&](const char* key, const std::vector<std::int64_t>& values) {
    for (const auto value : values)
      REWARD_TUNER_CHECK(value > 0, "[", where, "] expected positive numbers in ", key, ", got ", value);
  };
  positive("block_out_channels", block_out_channels);
  positive("layers_per_block", layers_per_block);
  positive("cross_attention_dim", cross_attention_dim);
  for (const auto value : cross_attention_dim)
    REWARD_TUNER_CHECK(value == cross_attention_dim.front(), "[", where,
                       "] unsupported cross_attention_dim: expected one width for all levels, got ",
                       cross_attention_dim.front(), " and ", value);
  positive("transformer_layers_per_block", transformer_layers_per_block);
  positive("attention_head_dim", attention_head_dim);
  positive("in_channels and out_channels", {in_channels, out_channels});
  positive("norm_num_groups", {norm_num_groups});
  positive("time_embedding_dim", {time_embedding_dim.value_or(1)});
  if (sample_size) positive("sample_size", {sample_size->height, sample_size->width});
  detail::check_at_most(where, "block_out_channels", block_out_channels, ConfigLimits::kWidth);
  detail::check_at_most(where, "cross_attention_dim", cross_attention_dim, ConfigLimits::kWidth);
  detail::check_at_most(where, "attention_head_dim", attention_head_dim, ConfigLimits::kWidth);
  detail::check_at_most(where, "layers_per_block", layers_per_block, ConfigLimits::kLayers);
  detail::check_at_most(where, "transformer_layers_per_block", transformer_layers_per_block, ConfigLimits::kLayers);
  detail::check_at_most(where, "in_channels, out_channels and norm_num_groups",
                        {in_channels, out_channels, norm_num_groups}, ConfigLimits::kWidth);
  detail::check_at_most(
      where, "time_embedding_dim, addition_time_embed_dim and projection_class_embeddings_input_dim",
      {time_embedding_dim.value_or(1), addition_time_embed_dim, projection_class_embeddings_input_dim},
      4 * ConfigLimits::kWidth);
  detail::check_at_most(where, "conv_in_kernel and conv_out_kernel", {conv_in_kernel, conv_out_kernel},
                        ConfigLimits::kKernel);
  REWARD_TUNER_CHECK(downsample_padding == 0 || downsample_padding == 1, "[", where,
                     "] unsupported downsample_padding: expected 0 or 1, got ", downsample_padding);
  REWARD_TUNER_CHECK(std::isfinite(freq_shift), "[", where, "] expected a finite freq_shift, got ", freq_shift);
  REWARD_TUNER_CHECK(norm_eps >= 0 && std::isfinite(norm_eps), "[", where, "] expected a norm_eps >= 0, got ",
                     norm_eps);
  REWARD_TUNER_CHECK(mid_block_scale_factor > 0 && std::isfinite(mid_block_scale_factor), "[", where,
                     "] expected a positive mid_block_scale_factor, got ", mid_block_scale_factor);
  REWARD_TUNER_CHECK(conv_in_kernel % 2 == 1 && conv_out_kernel % 2 == 1, "[", where,
                     "] unsupported conv_in_kernel or conv_out_kernel: expected odd numbers, got ", conv_in_kernel,
                     " and ", conv_out_kernel);
  REWARD_TUNER_CHECK(!text_time_embedding || (addition_time_embed_dim > 0 && projection_class_embeddings_input_dim > 0),
                     "[", where,
                     "] addition_embed_type \"text_time\" expected positive addition_time_embed_dim and "
                     "projection_class_embeddings_input_dim, got ",
                     addition_time_embed_dim, " and ", projection_class_embeddings_input_dim);
  REWARD_TUNER_CHECK(
      text_time_embedding || (addition_time_embed_dim == 0 && projection_class_embeddings_input_dim == 0), "[", where,
      "] unsupported addition_time_embed_dim or projection_class_embeddings_input_dim without addition_embed_type "
      "\"text_time\": expected null, got ",
      addition_time_embed_dim, " and ", projection_class_embeddings_input_dim);
}

inline nlohmann::json UNet2DConditionConfig::to_json() const {
  const auto or_null = [](bool present, std::int64_t value) {
    return present ? nlohmann::json(value) : nlohmann::json(nullptr);
  };
  // one number where all levels agree, as the published files have it
  const auto short_form = [](const std::vector<std::int64_t>& values) {
    for (const auto value : values)
      if (value != values.front()) return nlohmann::json(values);
    return nlohmann::json(values.front());
  };
  nlohmann::json size;  // null where it is not known
  if (sample_size)
    size = sample_size->height == sample_size->width ? nlohmann::json(sample_size->height)
                                                     : nlohmann::json({sample_size->height, sample_size->width});
  return {
      {"_class_name", "UNet2DConditionModel"},
      {"sample_size", size},
      {"in_channels", in_channels},
      {"out_channels", out_channels},
      {"center_input_sample", center_input_sample},
      {"flip_sin_to_cos", flip_sin_to_cos},
      {"freq_shift", freq_shift},
      {"down_block_types", down_block_types},
      {"mid_block_type", mid_block ? nlohmann::json("UNetMidBlock2DCrossAttn") : nlohmann::json(nullptr)},
      {"up_block_types", up_block_types},
      {"block_out_channels", block_out_channels},
      {"layers_per_block", short_form(layers_per_block)},
      {"downsample_padding", downsample_padding},
      {"mid_block_scale_factor", mid_block_scale_factor},
      {"act_fn", "silu"},
      {"norm_num_groups", norm_num_groups},
      {"norm_eps", norm_eps},
      {"cross_attention_dim", short_form(cross_attention_dim)},
      {"transformer_layers_per_block", short_form(transformer_layers_per_block)},
      {"attention_head_dim", short_form(attention_head_dim)},
      {"use_linear_projection", use_linear_projection},
      {"upcast_attention", upcast_attention},
      {"time_embedding_dim", or_null(time_embedding_dim.has_value(), time_embedding_dim.value_or(0))},
      {"conv_in_kernel", conv_in_kernel},
      {"conv_out_kernel", conv_out_kernel},
      {"addition_embed_type", text_time_embedding ? nlohmann::json("text_time") : nlohmann::json(nullptr)},
      {"addition_time_embed_dim", or_null(text_time_embedding, addition_time_embed_dim)},
      {"projection_class_embeddings_input_dim", or_null(text_time_embedding, projection_class_embeddings_input_dim)}};
}

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/unet_2d_condition_config.ipp>
#endif
