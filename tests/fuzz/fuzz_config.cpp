// libFuzzer target for the configuration files of a model folder, those of rewards among them. The first byte picks the
// file, the rest is its JSON text. Any text must give a configuration whose sizes are bounded and, of the model's own
// parts, survive the way to JSON and back, or a reward_tuner::Error; small networks are built, too.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/files/weights_index.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/blip.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/clip_vision.hpp>
#include <reward_tuner/models/image_preprocessor.hpp>
#include <reward_tuner/models/owl_vit.hpp>
#include <reward_tuner/models/pipeline_family.hpp>
#include <reward_tuner/models/scheduler_config.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>

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

template <class Config, class Model>
void read_network(const nlohmann::json& json, std::initializer_list<const char*> free_numbers, Model build) {
  const Config config = Config::from_json(json, "input");
  config.check();
  const nlohmann::json written = config.to_json();
  demand(Config::from_json(written, "written").to_json() == written);
  nlohmann::json sizes = written;
  for (const char* key : free_numbers) sizes.erase(key);
  demand_bounds(sizes);
  int layers = 0;
  if (small(sizes, layers)) build(config);
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
      read_network<rt::ClipTextConfig>(json, {"layer_norm_eps", "eos_token_id"},
                                       [](const auto& c) { rt::ClipTextModel{c, true}; });
      break;
    case 'i':
      read_network<rt::ClipVisionConfig>(json, {"layer_norm_eps"}, [](const auto& c) { rt::ClipVisionModel{c, true}; });
      break;
    case 'w':
      read_index(json);
      break;
    case 'm':
      rt::pipeline_family(json, "input");
      break;
    case 'c':
      rt::ClipConfig::from_json(json, "input");
      break;
    case 'o':
      rt::OwlVitConfig::from_json(json, "input");
      break;
    case 'b': {
      const auto config = rt::BlipConfig::from_json(json, "input");
      config.vision.check();
      config.text.check();
      break;
    }
    case 'p':
      rt::ImagePreprocessorOptions::from_json(json, "input").check();
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
