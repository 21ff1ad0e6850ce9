// Sizes no network has, and values of the wrong type in a model folder, are refused by name before anything is
// allocated.
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/config_limits.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/clip_vision.hpp>
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
