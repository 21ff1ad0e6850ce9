// BLIP's image-grounded text encoder against transformers' answers (tests/golden/make_reward_model_golden.py).
#include <doctest/doctest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/models/blip.hpp>

#include <tests/reference/golden_reward_models.hpp>
#include <tests/rewards/reward_checks.hpp>

namespace blip_test {
namespace {

using namespace reward_tuner;
namespace fs = std::filesystem;
using golden::gap;
using golden::kData;
using golden::kPrompts;

struct Folder : golden::BlipFolder {
  void weights(std::map<std::string, Tensor> tensors) const { save_safetensors(path / "model.safetensors", tensors); }
};

std::map<std::string, Tensor> golden_weights() {
  const auto file = SafetensorsFile::open(kData / "blip" / "model.safetensors");
  std::map<std::string, Tensor> tensors;
  for (const std::string& name : file.names()) tensors[name] = file.tensor(name).clone();
  return tensors;
}

}  // namespace

TEST_CASE("BLIP gives transformers' pixels and states of image and text") {
  const Folder folder;
  const auto blip = BlipModel::load(folder.path);
  const auto want = SafetensorsFile::open(kData / "blip" / "expected.safetensors");
  const Tensor images = want.tensor("images");
  CHECK(gap(blip->preprocessor()(images), want.tensor("pixels")) < 1e-5);
  CHECK(gap(blip->joint_state(images, kPrompts), want.tensor("state")) < 1e-5);
  for (const auto& p : blip->parameters()) CHECK_FALSE(p.requires_grad());
  CHECK(blip->tokenizer().encode("[DEC][ENC]").size() == 4);
  CHECK(blip->config().head == std::vector<std::int64_t>{7, 6, 5, 4, 1});
}

TEST_CASE("BLIP reads 35 tokens whatever the tokenizer's folder says, and tells if that is less") {
  const auto loaded = [](std::int64_t longest) {
    const Folder folder;
    nlohmann::json config = read_json(folder / "tokenizer/tokenizer_config.json");
    config["model_max_length"] = longest;
    folder.write("tokenizer/tokenizer_config.json", config);
    std::vector<std::string> notes;
    const NoteScope scope([&](const std::string& text) { notes.push_back(text); });
    const auto blip = BlipModel::load(folder.path);
    return std::pair(blip, notes);
  };
  const auto [plain, silent] = loaded(35);
  const auto [short_one, notes] = loaded(4);
  CHECK(silent.empty());
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].find("model_max_length 4: prompts have 35 tokens") != std::string::npos);
  const Tensor images = SafetensorsFile::open(kData / "blip" / "expected.safetensors").tensor("images");
  CHECK(short_one->joint_state(images, kPrompts).equal(plain->joint_state(images, kPrompts)));
}

TEST_CASE("BLIP in double: padding is masked, and the state does not depend on the other images of a batch") {
  const Folder folder;
  const auto blip = BlipModel::load(folder.path);
  blip->to(at::kDouble);
  const Tensor images = reward_checks::random_images(2, 16, 16, 3);
  const Tensor both = blip->joint_state(images, {"a cat", "a photo of a dog and a zebra"});
  CHECK(gap(blip->joint_state(images.narrow(0, 0, 1), {"a cat"}), both.narrow(0, 0, 1)) < 1e-12);
  BertEncoder text(blip->config().text);
  text.to(at::kDouble);
  Rng rng(4);
  for (Tensor& p : text.parameters()) p.requires_grad_(false).copy_(0.3 * rng.normal(p.sizes()));
  const Tensor image = rng.normal({1, 5, 12}, at::kDouble), ids = at::ones({1, 7}, at::kLong);
  Tensor mask = at::ones({1, 7}, at::kLong);
  mask.narrow(1, 4, 3).zero_();
  Tensor other = ids.clone();
  other.narrow(1, 4, 3).fill_(9);  // behind the mask
  CHECK(gap(text.forward(other, mask, image).narrow(1, 0, 4), text.forward(ids, mask, image).narrow(1, 0, 4)) < 1e-12);
  CHECK(gap(text.forward(other, at::ones({1, 7}, at::kLong), image).select(1, 0),
            text.forward(ids, mask, image).select(1, 0)) > 1e-5);
}

TEST_CASE("BLIP names files that are not its own") {
  const auto message = [](const auto& change) {
    const Folder folder;
    change(folder);
    try {
      BlipModel::load(folder.path);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const auto says = [](const std::string& text, const char* part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  const nlohmann::json config = read_json(kData / "blip" / "config.json");
  CHECK(message([](const Folder&) {}) == "no error");
  says(message([](const Folder& f) { std::ofstream(f / "tokenizer/vocab.txt", std::ios::app) << "one more\n"; }),
       "[Blip] expected a tokenizer of ");
  says(message([](const Folder& f) { fs::remove_all(f / "tokenizer"); }), "vocab.txt or tokenizer.json");
  const auto with = [&](const char* part, const char* key, const nlohmann::json& value) {
    return message([&](const Folder& f) {
      nlohmann::json changed = config;
      changed[part][key] = value;
      f.write("config.json", changed);
    });
  };
  says(with("med_config", "hidden_act", "relu"), "hidden_act");
  says(with("med_config", "fusion", 3), "fusion");
  says(with("med_config", "num_attention_heads", 3), "[Bert] hidden_size must be a multiple of num_attention_heads");
  says(with("med_config", "max_position_embeddings", 20), "[Blip] expected at least 35 positions");
  says(with("vit", "heads", 5), "[VisionTransformer] the width must be a multiple of the heads");
  says(with("vit", "depth", 3), "missing");
  says(message([](const Folder& f) {
         auto tensors = golden_weights();
         tensors.erase("blip.visual_encoder.cls_token");
         f.weights(tensors);
       }),
       "visual_encoder.cls_token");
  says(message([](const Folder& f) { f.weights({{"visual.proj", at::ones({2, 2})}}); }),
       "expected tensors called blip.*");
  const Folder folder;
  const auto blip = BlipModel::load(folder.path);
  CHECK_THROWS_WITH_AS(blip->joint_state(at::zeros({2, 3, 16, 16}), {"a"}),
                       doctest::Contains("expected one prompt an image (2), got 1"), Error);
  VisionTransformer vision(blip->config().vision);
  CHECK_THROWS_WITH_AS(vision.forward(at::zeros({1, 3, 16, 12})), doctest::Contains("[B,3,16,16]"), Error);
}

}  // namespace blip_test
