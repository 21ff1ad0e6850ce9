// libFuzzer target for the configuration files of a model folder, those of rewards among them. The first byte picks the
// file, the rest is its JSON text. Any text must give a configuration that its own check takes, whose sizes are bounded
// and which, where it can be written, survives the way to JSON and back, or a reward_tuner::Error; small networks are
// built, too.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <string>

#include <ATen/ops/zeros.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/files/weights_index.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/bert_encoder.hpp>
#include <reward_tuner/models/blip.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/clip_vision.hpp>
#include <reward_tuner/models/image_preprocessor.hpp>
#include <reward_tuner/models/owl_vit.hpp>
#include <reward_tuner/models/pipeline_family.hpp>
#include <reward_tuner/models/scheduler_config.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>
#include <reward_tuner/models/vision_transformer.hpp>

namespace {

namespace rt = reward_tuner;

void demand(bool promise) {
  if (!promise) std::abort();
}

/// Numbers in a small network: such a one is built, which must work or be refused by name.
constexpr std::int64_t kSmall = 64;

bool small(const nlohmann::json& value, int& layers) {
  if (value.is_number()) return value.get<double>() <= static_cast<double>(kSmall);
  if (value.is_array()) layers += static_cast<int>(value.size());
  for (const auto& item : value)
    if (item.is_structured() || item.is_number())
      if (!small(item, layers)) return false;
  return layers <= 24;
}

/// No number of an accepted configuration may be beyond what a network can have.
void demand_bounds(const nlohmann::json& value) {
  if (value.is_number()) demand(std::abs(value.get<double>()) <= 2e6);
  if (value.is_structured()) {
    demand(value.is_object() || value.size() <= 64);
    for (const auto& item : value) demand_bounds(item);
  }
}

/// What was accepted may not be refused afterwards.
template <class F>
auto accepted(F f) {
  try {
    return f();
  } catch (const rt::Error&) {
    std::abort();
  }
}

/// A configuration's numbers; small ones are built.
template <class Model>
void demand_sizes(const nlohmann::json& sizes, Model build) {
  demand_bounds(sizes);
  int layers = 0;
  if (small(sizes, layers)) build();
}

/// What holds of a configuration that from_json has accepted.
template <class Config, class Model>
void demand_network(const Config& config, std::initializer_list<const char*> free_numbers, Model build) {
  accepted([&] { config.check(); });
  nlohmann::json sizes = config.to_json();
  demand(accepted([&] { return Config::from_json(sizes, "written").to_json(); }) == sizes);
  for (const char* key : free_numbers) sizes.erase(key);
  demand_sizes(sizes, [&] { build(config); });
}

template <class Config, class Model>
void read_network(const nlohmann::json& json, std::initializer_list<const char*> free_numbers, Model build) {
  demand_network(Config::from_json(json, "input"), free_numbers, build);
}

void demand_tower(const rt::ClipTextConfig& text) {
  demand_network(text, {"layer_norm_eps", "eos_token_id"}, [](const auto& c) { rt::ClipTextModel{c, true}; });
}

void demand_tower(const rt::ClipVisionConfig& vision) {
  demand_network(vision, {"layer_norm_eps"}, [](const auto& c) { rt::ClipVisionModel{c, true}; });
}

/// A CLIP or an OWL-ViT.
template <class Config>
void read_towers(const nlohmann::json& json) {
  const Config config = Config::from_json(json, "input");
  demand(config.projection_dim > 0);
  demand_bounds(config.projection_dim);
  demand_tower(config.text);
  demand_tower(config.vision);
}

void read_blip(const nlohmann::json& json) {
  const auto config = rt::BlipConfig::from_json(json, "input");
  const rt::VisionTransformerConfig& vision = config.vision;  // clang 14 captures no structured bindings
  const rt::BertConfig& text = config.text;
  accepted([&] { vision.check(); });
  accepted([&] { text.check(); });
  for (const std::int64_t outputs : config.head) {
    demand(outputs > 0);
    demand_bounds(outputs);
  }
  demand(config.head.size() <= 256);
  const std::int64_t grid = vision.image_size / vision.patch_size;
  demand_sizes({{"sizes", {vision.image_size, vision.patch_size, vision.width, vision.heads, grid * grid}},
                {"depth", vision.depth}},
               [&] { rt::VisionTransformer{vision}; });
  demand_sizes({{"sizes",
                 {text.vocab_size, text.hidden_size, text.intermediate_size, text.num_attention_heads,
                  text.max_position_embeddings, text.image_width}},
                {"depth", text.num_hidden_layers}},
               [&] { rt::BertEncoder{text}; });
}

void read_preprocessor(const nlohmann::json& json) {
  const auto options = rt::ImagePreprocessorOptions::from_json(json, "input");
  accepted([&] { options.check(); });
  demand(options.side > 0 && options.side <= options.edge);
  const rt::ImagePreprocessor preprocessor(options);
  const auto [height, width] = preprocessor.resized(1 << 14, 3);
  demand(height >= options.side && width >= options.side);
  demand_sizes(options.edge, [&] {
    demand(preprocessor(at::zeros({1, 3, 6, 8})).sizes() == at::IntArrayRef({1, 3, options.side, options.side}));
  });
}

void read_scheduler(const nlohmann::json& json) {
  const auto config = rt::noise_schedule_config_from_json(json, "input");
  demand(rt::noise_schedule_config_from_json(rt::to_json(config), "written") == config);
  const rt::NoiseSchedule schedule(config);
  for (std::int64_t t = 0; t < config.num_train_steps; ++t) demand(schedule.abar(t) >= 0 && schedule.abar(t) <= 1);
  for (const std::int64_t steps : {std::int64_t{1}, std::int64_t{7}, config.num_train_steps}) {
    try {
      const auto spacing = config.spacing.value_or(rt::TimestepSpacing::kLeading);
      for (const auto t : schedule.timesteps(steps, spacing)) demand(t >= 0 && t < config.num_train_steps);
    } catch (const rt::Error&) {  // too many steps, or an offset beyond the last one
    }
  }
}

/// No shard may lie outside of the index's folder.
void read_index(const nlohmann::json& json) {
  const auto index = rt::parse_weights_index(json, "input");
  demand(!index.empty());
  for (const auto& [tensor, shard] : index) {
    const std::filesystem::path path = std::filesystem::path("folder") / shard;
    demand(path.lexically_normal() == path && path.parent_path() == "folder" && shard.ends_with(".safetensors"));
    demand(std::char_traits<char>::length(path.c_str()) == path.native().size());
  }
}

void read(char kind, const std::string& text) {
  const auto json = rt::parse_json(rt::detail::quote_bare_numbers(text), "input");
  switch (kind) {
    case 'u':
      read_network<rt::UNet2DConditionConfig>(json, {"freq_shift", "mid_block_scale_factor", "norm_eps", "sample_size"},
                                              [](const auto& c) { rt::UNet2DConditionModel{c}; });
      break;
    case 'v':
      read_network<rt::AutoencoderKLConfig>(json, {"scaling_factor", "shift_factor", "sample_size"}, [](const auto& c) {
        demand(c.reduction() > 0);
        rt::AutoencoderKL{c};
      });
      break;
    case 't':
      demand_tower(rt::ClipTextConfig::from_json(json, "input"));
      break;
    case 'i':
      demand_tower(rt::ClipVisionConfig::from_json(json, "input"));
      break;
    case 'w':
      read_index(json);
      break;
    case 'm':
      rt::pipeline_family(json, "input");
      break;
    case 'c':
      read_towers<rt::ClipConfig>(json);
      break;
    case 'o':
      read_towers<rt::OwlVitConfig>(json);
      break;
    case 'b':
      read_blip(json);
      break;
    case 'p':
      read_preprocessor(json);
      break;
    default:
      read_scheduler(json);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  try {
    read(static_cast<char>(data[0]), std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
  } catch (const rt::Error&) {
  }
  return 0;
}
