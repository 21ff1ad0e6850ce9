// CLIP in open_clip's layout against transformers' answers (tests/golden/make_open_clip_golden.py), and what is refused
// of it.
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <ATen/ops/zeros.h>
#include <torch/types.h>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/image_preprocessor.hpp>
#include <reward_tuner/models/open_clip_layout.hpp>
#include <reward_tuner/text/clip_tokenizer.hpp>
#include <reward_tuner/text/clip_vocabulary.hpp>

#include <tests/reference/test_folder.hpp>

namespace open_clip_layout_test {
namespace {

using namespace reward_tuner;
namespace fs = std::filesystem;

const fs::path kGolden = fs::path(REWARD_TUNER_TEST_DATA) / "open_clip";

double gap(const Tensor& a, const Tensor& b) {
  return a.sizes() == b.sizes() ? ((a - b).abs().max() / b.abs().max()).item<double>() : 1e9;
}

/// The golden model with its tokenizer, under the given names.
struct Published {
  explicit Published(const char* config = "open_clip_config.json",
                     const char* weights = "open_clip_model.safetensors") {
    fs::copy_file(kGolden / "open_clip_config.json", folder / config);
    fs::copy_file(kGolden / "open_clip_model.safetensors", folder / weights);
    fs::copy(kGolden.parent_path() / "tokenizer", folder / "tokenizer");
  }
  io_test::Folder folder;
};

/// The golden configuration with one value replaced.
nlohmann::json with(const std::string& part, const std::string& key, const nlohmann::json& value) {
  nlohmann::json json = read_json(kGolden / "open_clip_config.json").at("model_cfg");
  (part.empty() ? json : json[part])[key] = value;
  return json;
}

}  // namespace

TEST_CASE("open_clip: features, ids, pixels and image gradient") {
  const Published published;
  const auto clip = ClipModel::load(published.folder.path);
  CHECK(clip->config().layout == ClipLayout::kOpenClip);
  const auto want = SafetensorsFile::open(kGolden / "expected.safetensors");
  const auto prompts = read_json(kGolden / "prompts.json").get<std::vector<std::string>>();
  const Tensor images = want.tensor("images").clone().requires_grad_();
  CHECK(gap(clip->preprocessor()(images), want.tensor("pixels")) < 1e-6);
  CHECK(clip->tokenizer()(prompts, 16).equal(want.tensor("ids")));
  CHECK(clip->preprocessor().options().crop_start == CropStart::kHalfToEven);
  const Tensor features = clip->image_features(images);  // [3,6]
  CHECK(gap(features, want.tensor("image_features")) < 1e-5);
  CHECK(gap(clip->text_features(prompts), want.tensor("text_features")) < 1e-5);
  CHECK(gap(clip->scale(), want.tensor("scale")) < 1e-6);
  (features * want.tensor("cotangent")).sum().backward();
  CHECK(gap(images.grad(), want.tensor("grad")) < 1e-4);
  for (const auto& p : clip->named_parameters()) CHECK_FALSE(p.value().requires_grad());
}

TEST_CASE("open_clip: a folder of config.json and model.safetensors, its configuration bare or inside") {
  const auto want = SafetensorsFile::open(kGolden / "expected.safetensors");
  const Published published("config.json", "model.safetensors");
  CHECK(gap(ClipModel::load(published.folder.path)->image_features(want.tensor("images")),
            want.tensor("image_features")) < 1e-5);
  // a file of open_clip's own model_configs: OpenAI's mean and deviation
  io_test::write_text(published.folder / "config.json", with("", "quick_gelu", true).dump());
  const auto clip = ClipModel::load(published.folder.path);
  CHECK(clip->config().text.hidden_act == "quick_gelu");
  CHECK(clip->preprocessor().options().mean == ImagePreprocessorOptions().mean);
  CHECK(gap(clip->image_features(want.tensor("images")), want.tensor("image_features")) > 1e-3);
}

TEST_CASE("open_clip: the published ViT-H-14 and ViT-L-14") {
  const auto h14 = open_clip_config(
      {{"embed_dim", 1024},
       {"vision_cfg", {{"image_size", 224}, {"layers", 32}, {"width", 1280}, {"head_width", 80}, {"patch_size", 14}}},
       {"text_cfg", {{"context_length", 77}, {"vocab_size", 49408}, {"width", 1024}, {"heads", 16}, {"layers", 24}}}},
      "ViT-H-14.json");
  CHECK(h14.vision.num_attention_heads == 16);
  CHECK(h14.vision.intermediate_size == 5120);
  CHECK(h14.vision.hidden_act == "gelu");
  CHECK(h14.text.num_hidden_layers == 24);
  CHECK(h14.text.eos_token_id == 2);
  CHECK(h14.projection_dim == 1024);
  const auto defaults = open_clip_config(
      {{"embed_dim", 512}, {"vision_cfg", nlohmann::json::object()}, {"text_cfg", nlohmann::json::object()}},
      "config.json");
  CHECK(defaults.vision.patch_size == 16);
  CHECK(defaults.vision.num_attention_heads == 12);
  CHECK(defaults.text.max_position_embeddings == 77);
}

TEST_CASE("open_clip: what makes it another model is refused by name") {
  const auto refuses = [](const std::string& part, const std::string& key, const nlohmann::json& value,
                          const std::string& text) {
    CAPTURE(key);
    CHECK_THROWS_WITH_AS(ClipConfig::from_json(with(part, key, value), "config.json"), doctest::Contains(text.c_str()),
                         Error);
  };
  refuses("", "custom_text", true, "custom_text");
  refuses("", "init_logit_bias", -10, "init_logit_bias");
  refuses("", "multimodal_cfg", nlohmann::json::object(), "CoCa");
  refuses("", "embed_dim", 0, "expected embed_dim above 0, got 0");
  refuses("", "rotary", true, "rotary");
  refuses("vision_cfg", "timm_model_name", "convnext_base", "timm_model_name");
  refuses("vision_cfg", "attentional_pool", true, "attentional_pool");
  refuses("vision_cfg", "pool_type", "avg", "pool_type");
  refuses("vision_cfg", "layers", {3, 4, 6, 3}, "layers");
  refuses("vision_cfg", "head_width", 5, "expected a width that is a multiple of head_width, got 12 and 5");
  refuses("vision_cfg", "mlp_ratio", 0, "mlp_ratio");
  refuses("vision_cfg", "blur", 1, "vision_cfg: unknown keys 'blur'");
  refuses("text_cfg", "hf_model_name", "roberta-base", "hf_model_name");
  refuses("text_cfg", "no_causal_mask", true, "no_causal_mask");
  refuses("text_cfg", "pool_type", "last", "pool_type");
  refuses("text_cfg", "proj_type", "none", "proj_type");
  refuses("text_cfg", "qk_norm", true, "qk_norm");
}

TEST_CASE("open_clip: the preprocessing of its file, and what is not read of it") {
  const auto config = ClipConfig::from_json(with("", "quick_gelu", false), "config.json");
  const auto read = [&](const nlohmann::json& preprocessing) {
    return open_clip_preprocessing({{"preprocess_cfg", preprocessing}}, config, "config.json");
  };
  CHECK(read({{"resize_mode", "longest"}, {"size", {12, 12}}, {"fill_color", 0}}).rule == ResizeRule::kLongestEdge);
  CHECK(read({{"resize_mode", "squash"}, {"size", 12}, {"mode", "RGB"}}).rule == ResizeRule::kSquare);
  CHECK(read({{"std", {0.5, 0.25, 1}}}).deviation[1] == 0.25);
  CHECK_THROWS_WITH_AS(read({{"resize_mode", "fit"}}), doctest::Contains("expected resize_mode"), Error);
  CHECK_THROWS_WITH_AS(read({{"interpolation", "bilinear"}}), doctest::Contains("interpolation"), Error);
  CHECK_THROWS_WITH_AS(read({{"fill_color", 1}}), doctest::Contains("fill_color"), Error);
  CHECK_THROWS_WITH_AS(read({{"size", 224}}), doctest::Contains("image_size as size, 12, got 224"), Error);
  CHECK_THROWS_WITH_AS(read({{"mean", {0.5}}}), doctest::Contains("expected 3 numbers in mean, got 1"), Error);
  CHECK_THROWS_WITH_AS(read({{"blur", 1}}), doctest::Contains("blur"), Error);
}

TEST_CASE("open_clip: a missing, a strange and a misshapen weight are named, an attention mask is not read") {
  const Published published;
  const auto file = SafetensorsFile::open(kGolden / "open_clip_model.safetensors");
  const auto load_with = [&](const char* removed, const char* added, const Tensor& value) {
    std::map<std::string, Tensor> weights;
    for (const auto& name : file.names())
      if (name != removed) weights[name] = file.tensor(name).clone();
    if (value.defined()) weights[added] = value;
    save_safetensors(published.folder / "open_clip_model.safetensors", weights);
    return ClipModel::load(published.folder.path);
  };
  CHECK_THROWS_WITH_AS(load_with("visual.proj", "", {}), doctest::Contains("1 missing: 'visual_projection.weight'"),
                       Error);
  CHECK_THROWS_WITH_AS(load_with("", "visual.head.bias", at::zeros({2})), doctest::Contains("visual.head.bias"), Error);
  CHECK_THROWS_WITH_AS(load_with("", "ln_final.bias", at::zeros({9})), doctest::Contains("text_model.final_layer_norm"),
                       Error);
  CHECK(load_with("", "attn_mask", at::zeros({16, 16})) != nullptr);
}

TEST_CASE("open_clip: a folder without tokenizer files has OpenAI's vocabulary, if that is the model's") {
  const Published published;
  std::filesystem::remove_all(published.folder / "tokenizer");
  CHECK_THROWS_WITH_AS(ClipModel::load(published.folder.path), doctest::Contains("expected vocab.json and merges.txt"),
                       Error);
  auto json = with("text_cfg", "vocab_size", kClipVocabularySize);
  io_test::write_text(published.folder / "open_clip_config.json", json.dump());
  const auto file = SafetensorsFile::open(kGolden / "open_clip_model.safetensors");
  std::map<std::string, Tensor> weights;
  for (const auto& name : file.names()) weights[name] = file.tensor(name).clone();
  weights["token_embedding.weight"] = at::zeros({kClipVocabularySize, 8});
  save_safetensors(published.folder / "open_clip_model.safetensors", weights);
  const auto clip = ClipModel::load(published.folder.path);
  // as its own tokenizer reads it: cleaned, filled with 0
  CHECK(clip->tokenizer().encode("a &amp; b") == ClipTokenizer(clip_vocabulary()).encode("a & b"));
  CHECK(clip->tokenizer().pad_id() == 0);
}

}  // namespace open_clip_layout_test
