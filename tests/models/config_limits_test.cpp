// Sizes no network has, and values of the wrong type in a model folder, are refused by name before anything is
// allocated.
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/config_limits.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/blip.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/clip_vision.hpp>
#include <reward_tuner/models/image_preprocessor.hpp>
#include <reward_tuner/models/owl_vit.hpp>
#include <reward_tuner/models/scheduler_config.hpp>
#include <reward_tuner/models/unet_2d_condition_config.hpp>

namespace config_limits_test {
namespace {

using namespace reward_tuner;

template <class Config>
void refused(const char* key, const nlohmann::json& value, const char* sentence) {
  CAPTURE(key);
  nlohmann::json json = Config().to_json();
  json[key] = value;
  CHECK_THROWS_WITH_AS(Config::from_json(json, "file"), doctest::Contains(sentence), Error);
}

}  // namespace

TEST_CASE("config_limits: sizes beyond any network are named errors") {
  constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  refused<UNet2DConditionConfig>("block_out_channels", std::vector<std::int64_t>(4, kHuge),
                                 "expected at most 16384 in block_out_channels");
  refused<UNet2DConditionConfig>("block_out_channels", std::vector<std::int64_t>(17, 32),
                                 "expected at most 16 in the levels");
  refused<UNet2DConditionConfig>("layers_per_block", kHuge, "expected at most 256 in layers_per_block");
  refused<UNet2DConditionConfig>("transformer_layers_per_block", 257,
                                 "expected at most 256 in transformer_layers_per_block");
  refused<UNet2DConditionConfig>("cross_attention_dim", kHuge, "cross_attention_dim");
  refused<UNet2DConditionConfig>("time_embedding_dim", kHuge, "time_embedding_dim");
  refused<UNet2DConditionConfig>("time_embedding_dim", -4, "expected positive numbers in time_embedding_dim");
  refused<UNet2DConditionConfig>("norm_num_groups", 0, "expected positive numbers in norm_num_groups");
  refused<UNet2DConditionConfig>("conv_in_kernel", 33, "conv_in_kernel");
  refused<AutoencoderKLConfig>("block_out_channels", std::vector<std::int64_t>(4, kHuge),
                               "expected at most 16384 in block_out_channels");
  refused<AutoencoderKLConfig>("layers_per_block", kHuge, "layers_per_block");
  refused<AutoencoderKLConfig>("norm_num_groups", 0, "norm_num_groups");
  AutoencoderKLConfig deep;
  deep.block_out_channels.assign(70, 32);  // 2 to the 69th pixels a latent
  CHECK_THROWS_WITH_AS(deep.check("file"), doctest::Contains("levels"), Error);
  refused<ClipTextConfig>("vocab_size", kHuge, "vocab_size");
  refused<ClipTextConfig>("hidden_size", kHuge, "hidden_size");
  refused<ClipTextConfig>("num_hidden_layers", kHuge, "num_hidden_layers");
  refused<ClipVisionConfig>("image_size", kHuge, "image_size");
  refused<ClipVisionConfig>("patch_size", 0, "patch_size");
}

TEST_CASE("config_limits: so are those of rewards' networks") {
  constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  using Json = nlohmann::json;
  const auto got = [](auto read, Json json, const char* place, const Json& value, const char* sentence) {
    CAPTURE(place);
    CHECK_NOTHROW(read(json, "file"));
    json[Json::json_pointer(place)] = value;
    CHECK_THROWS_WITH_AS(read(json, "file"), doctest::Contains(sentence), Error);
  };
  const Json clip{{"model_type", "clip"}},
      flat{{"embed_dim", 4}, {"vision_cfg", Json::object()}, {"text_cfg", Json::object()}};
  got(ClipConfig::from_json, clip, "/projection_dim", kHuge, "expected at most 65536 in projection_dim");
  got(ClipConfig::from_json, clip, "/text_config/vocab_size", kHuge, "vocab_size");
  got(ClipConfig::from_json, clip, "/vision_config/image_size", kHuge, "image_size");
  got(ClipConfig::from_json, flat, "/embed_dim", kHuge, "projection_dim");
  const Json owl{{"model_type", "owlvit"}};
  got(OwlVitConfig::from_json, owl, "/text_config/hidden_size", kHuge, "hidden_size");
  got(OwlVitConfig::from_json, owl, "/vision_config/image_size", kHuge, "image_size");
  const Json blip{{"vit", {{"image_size", 224}, {"patch_size", 16}, {"width", 64}, {"depth", 2}, {"heads", 4}}},
                  {"med_config", Json::object()},
                  {"head", {16, 1}}};
  got(BlipConfig::from_json, blip, "/vit/depth", kHuge, "expected at most 256 in depth");
  got(BlipConfig::from_json, blip, "/vit/image_size", kHuge, "expected at most 4096 in image_size");
  got(BlipConfig::from_json, blip, "/vit",
      {{"image_size", 4096}, {"patch_size", 1}, {"width", 64}, {"depth", 2}, {"heads", 4}},
      "expected at most 1048576 in the patches of an image, got 16777216");
  got(BlipConfig::from_json, blip, "/med_config/vocab_size", kHuge, "vocab_size");
  got(BlipConfig::from_json, blip, "/head/1", kHuge, "expected at most 65536 in head");
  got(BlipConfig::from_json, blip, "/head/0", 0, "file: expected positive numbers in head, got [0, 1]");
  got(BlipConfig::from_json, blip, "/head", std::vector(257, 1), "expected at most 256 in the layers of head");
  got(ImagePreprocessorOptions::from_json, Json::object(), "/size", kHuge, "expected at most 4096 in edge");
  got(ImagePreprocessorOptions::from_json, Json::object(), "/size", {{"height", kHuge}, {"width", kHuge}},
      "expected at most 4096 in edge");
}

TEST_CASE("config_limits: the fuzz target's seeds of rewards reach their readers") {
  const auto seed = [](const std::string& name) {
    std::ifstream file(REWARD_TUNER_SOURCE_DIR "/tests/fuzz/corpus/config/" + name);
    REQUIRE(file.get() == name[0]);  // picks the reader
    return nlohmann::json::parse(file);
  };
  CHECK(ClipConfig::from_json(seed("clip"), "clip").vision.image_size == 8);
  const ClipConfig open = ClipConfig::from_json(seed("clip_open"), "clip_open");
  CHECK((open.layout == ClipLayout::kOpenClip && open.vision.image_size == 8));
  CHECK(OwlVitConfig::from_json(seed("owl"), "owl").vision.image_size == 8);
  CHECK(BlipConfig::from_json(seed("blip"), "blip").vision.image_size == 8);
  CHECK(ImagePreprocessorOptions::from_json(seed("preprocessor"), "preprocessor").rule == ResizeRule::kShortestEdge);
  CHECK(ImagePreprocessorOptions::from_json(seed("preprocessor_square"), "square").rule == ResizeRule::kSquare);
}

TEST_CASE("config_limits: a scheduler's numbers are bounded") {
  const auto refused_schedule = [](const nlohmann::json& json, const char* sentence) {
    CHECK_THROWS_WITH_AS(NoiseSchedule(noise_schedule_config_from_json(json, "file")), doctest::Contains(sentence),
                         Error);
  };
  refused_schedule({{"num_train_timesteps", std::int64_t{1} << 50}}, "at most 1000000");
  refused_schedule({{"steps_offset", INT64_MAX}}, "steps_offset");
  refused_schedule({{"steps_offset", -1}}, "steps_offset");
  refused_schedule({{"_class_name", 3}}, "_class_name");
  refused_schedule({{"num_train_timesteps", 1}, {"rescale_betas_zero_snr", true}}, "zero terminal signal");
  refused_schedule({{"dynamic_thresholding_ratio", 1.5}}, "dynamic_thresholding_ratio");
  refused_schedule({{"clip_sample_range", 0}}, "clip_sample_range");
}

}  // namespace config_limits_test
