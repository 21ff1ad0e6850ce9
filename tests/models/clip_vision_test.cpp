// The CLIP vision tower and the whole CLIP model against transformers' answers (tests/golden/make_clip_golden.py).
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/models/clip.hpp>

namespace clip_vision_test {
namespace {

using namespace reward_tuner;

const std::filesystem::path kFolder = std::filesystem::path(REWARD_TUNER_TEST_DATA) / "clip";

double gap(const Tensor& a, const Tensor& b) {
  return a.sizes() == b.sizes() ? ((a - b).abs().max() / b.abs().max()).item<double>() : 1e9;
}

}  // namespace

TEST_CASE("the CLIP model gives transformers' features and image gradient") {
  const auto clip = ClipModel::load(kFolder);
  const auto want = SafetensorsFile::open(kFolder / "expected.safetensors");
  Tensor images = want.tensor("images").clone().requires_grad_(true);
  CHECK(gap(clip->preprocessor()(images), want.tensor("pixels")) < 1e-6);
  const Tensor features = clip->image_features(images);
  CHECK(gap(features, want.tensor("image_features")) < 1e-5);
  CHECK(gap(features.pow(2).sum(-1), at::ones({3})) < 1e-6);
  CHECK(gap(clip->text_features(read_json(kFolder / "prompts.json").get<std::vector<std::string>>()),
            want.tensor("text_features")) < 1e-5);
  CHECK(gap(clip->scale(), want.tensor("scale")) < 1e-6);
  (features * want.tensor("cotangent")).sum().backward();
  CHECK(gap(images.grad(), want.tensor("grad")) < 1e-4);
  for (const auto& p : clip->named_parameters()) CHECK_FALSE(p.value().requires_grad());
  CHECK_THROWS_WITH_AS(clip->text_features({}), doctest::Contains("prompt"), Error);
  CHECK_THROWS_AS(ClipModel::load(kFolder / "nowhere"), Error);
}

TEST_CASE("the CLIP vision tower reads keys with and without their prefix and works in double") {
  const auto file = SafetensorsFile::open(kFolder / "model.safetensors");
  const auto config = ClipVisionConfig::from_json(read_json(kFolder / "config.json").at("vision_config"));
  ClipVisionModel model(config);
  const auto load = [&](bool strip) {
    LoadOptions options;
    options.rename = [strip](std::string key) {
      if (!key.starts_with("vision_model.")) return std::string();
      return clip_vision_key(strip ? key.substr(13) : key);
    };
    load_weights(model, file, options);
  };
  load(true);
  const Tensor pixels = SafetensorsFile::open(kFolder / "expected.safetensors").tensor("pixels");
  const auto out = model.forward(pixels);
  CHECK((out.last_hidden_state.sizes() == at::IntArrayRef({3, 10, 12})));
  CHECK(out.hidden_states.size() == 3);
  CHECK_FALSE(out.image_embeds.defined());
  load(false);
  CHECK(gap(model.forward(pixels).pooler_output, out.pooler_output) == 0);
  model.to(at::kDouble);
  CHECK(gap(model.forward(pixels.to(at::kDouble)).pooler_output, out.pooler_output.to(at::kDouble)) < 1e-5);
  CHECK(clip_vision_key("embeddings.position_ids").empty());
  CHECK_THROWS_WITH_AS(model.forward(at::zeros({1, 3, 12, 16})), doctest::Contains("[B,3,12,12]"), Error);
}

TEST_CASE("the CLIP configs name what they cannot use") {
  auto json = ClipVisionConfig().to_json();
  CHECK(ClipVisionConfig::from_json(json).to_json() == json);
  json["image_size"] = 16;
  CHECK_THROWS_WITH_AS(ClipVisionConfig::from_json(json), doctest::Contains("patch_size"), Error);
  json = read_json(kFolder / "config.json");
  json["text_config_dict"] = {{"hidden_size", 24}};  // transformers 4: replaces text_config, the rest are defaults
  CHECK(ClipConfig::from_json(json).text.hidden_size == 24);
  CHECK(ClipConfig::from_json(json).text.max_position_embeddings == 77);
  json["vision_config"]["rotary"] = true;
  CHECK_THROWS_WITH_AS(ClipConfig::from_json(json), doctest::Contains("rotary"), Error);
}

}  // namespace clip_vision_test
