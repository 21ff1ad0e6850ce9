// OWL-ViT against transformers' answers (tests/golden/make_reward_model_golden.py).
#include <doctest/doctest.h>
#include <torch/types.h>

#include <string>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/models/owl_vit.hpp>

#include <tests/reference/golden_reward_models.hpp>

namespace owl_vit_test {
namespace {

using namespace reward_tuner;
using golden::gap;
using golden::kData;
using Folder = golden::OwlVitFolder;

}  // namespace

TEST_CASE("OWL-ViT gives transformers' pixels, patches and logits") {
  const Folder folder;
  const auto owl = OwlVitModel::load(folder.path);
  const auto want = SafetensorsFile::open(kData / "owl_vit" / "expected.safetensors");
  const Tensor images = want.tensor("images");
  CHECK(gap(owl->preprocessor()(images), want.tensor("pixels")) < 1e-5);
  const Tensor patches = owl->patches(images);
  CHECK(gap(patches, want.tensor("patches")) < 1e-5);
  CHECK(gap(owl->logits(patches, owl->queries(golden::kPrompts)), want.tensor("logits")) < 1e-5);
  for (const auto& p : owl->parameters()) CHECK_FALSE(p.requires_grad());
}

TEST_CASE("OWL-ViT pools a text at its largest id, whatever end token the file names") {
  nlohmann::json config = read_json(kData / "owl_vit" / "config.json");
  config["text_config"]["eos_token_id"] = 5;
  CHECK(OwlVitConfig::from_json(config).text.eos_token_id == 2);
  config["text_config"] = {{"hidden_size", 8}};  // the defaults of OWL-ViT, not those of CLIP
  config["vision_config"] = nullptr;
  CHECK(OwlVitConfig::from_json(config).text.max_position_embeddings == 16);
  CHECK(OwlVitConfig::from_json(config).vision.image_size == 768);
}

TEST_CASE("OWL-ViT names files that are not its own") {
  const nlohmann::json config = read_json(kData / "owl_vit" / "config.json");
  const auto message = [&](const auto& change) {
    nlohmann::json changed = config;
    change(changed);
    const Folder folder;
    folder.write("config.json", changed);
    try {
      OwlVitModel::load(folder.path);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const auto says = [](const std::string& text, const char* part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  using Json = nlohmann::json;
  CHECK(message([](Json&) {}) == "no error");
  says(message([](Json& c) { c["model_type"] = "clip"; }), "model_type");
  says(message([](Json& c) { c["text_config"]["model_type"] = "clip_text_model"; }), "owlvit_text_model");
  says(message([](Json& c) { c["vision_config"]["rotary"] = true; }), "rotary");
  says(message([](Json& c) { c["projection_dim"] = 7; }),
       "expected projection_dim to be 8, the text tower's hidden_size");
  says(message([](Json& c) { c["vision_config"]["num_hidden_layers"] = 3; }), "missing");
  says(message([](Json& c) { c["vision_config"]["image_size"] = 16; }), "[OwlVit] expected the vision tower's input");
  says(message([](Json& c) { c["text_config"]["vocab_size"] = 9; }), "[OwlVit] expected a tokenizer of at most 9");
  says(message([](Json& c) { c["text_config_dict"] = Json::object(); }), "text_config_dict");
  const Folder folder;
  CHECK_THROWS_WITH_AS(OwlVitModel::load(folder.path)->queries({}), doctest::Contains("at least one query"), Error);
}

}  // namespace owl_vit_test
