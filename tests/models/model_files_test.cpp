// What a path to a model holds: folders and single files by one interface. Their networks' outputs are the pipeline's
// tests and parity cases.
#include <doctest/doctest.h>
#include <torch/types.h>

#include <filesystem>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/model_files.hpp>
#include <reward_tuner/models/pipeline_networks.hpp>
#include <reward_tuner/text/clip_tokenizer.hpp>

#include <tests/reference/original_file.hpp>
#include <tests/reference/test_folder.hpp>
#include <tests/reference/tiny_folder.hpp>

namespace model_files_test {
namespace {

using namespace reward_tuner;
namespace fs = std::filesystem;

const fs::path kTokenizer = fs::path(REWARD_TUNER_TEST_DATA) / "tokenizer";

void write_single(const io_test::Folder& folder, ModelFamily family, bool config) {
  const auto parts = reference::tiny_parts(family, 20);
  save_safetensors(folder / "model.safetensors", reference::original_tensors(family, parts));
  if (config) reference::write_tiny_config(folder / "config", family, parts, kTokenizer);
}

}  // namespace

TEST_CASE("model_files: a folder's parts, and what its options must agree with") {
  const io_test::Folder folder;
  reference::write_tiny_model(folder / "model", kTokenizer);
  const ModelFiles model = ModelFiles::open(folder / "model");
  CHECK(model.where("scheduler") == (folder / "model" / "scheduler" / "scheduler_config.json").string());
  CHECK(model.config("model_index").at("_class_name") == "StableDiffusionPipeline");
  const auto network = make_network("unet", model.config("unet"), "unet");
  model.load("unet", *network);
  const auto stored = SafetensorsFile::open(folder / "model" / "unet" / "diffusion_pytorch_model.safetensors");
  for (const auto& [name, tensor] : state_dict(*network)) CHECK(at::equal(tensor, stored.tensor(name)));
  CHECK(ModelFiles::open(folder / "model", {.prediction = PredictionType::kEpsilon}).config("unet") ==
        model.config("unet"));
  CHECK_THROWS_WITH_AS(ModelFiles::open(folder / "model", {.prediction = PredictionType::kVPrediction}),
                       doctest::Contains("says the network predicts \"epsilon\", expected v_prediction"), Error);
  CHECK_THROWS_WITH_AS(ModelFiles::open(folder / "none"), doctest::Contains("got nothing at"), Error);
}

TEST_CASE("model_files: tensors are checked before they are given out") {
  const io_test::Folder folder;
  write_single(folder, ModelFamily::kSd1, true);
  const ModelFiles model = ModelFiles::open(folder / "model.safetensors");
  CHECK(model.tensors("vae").size() > 20);
  auto config = read_json(folder / "config" / "vae" / "config.json");
  config["layers_per_block"] = 2;
  write_json(folder / "config" / "vae" / "config.json", config);
  CHECK_THROWS_WITH_AS(model.tensors("vae"), doctest::Contains("does not fit the network of"), Error);
}

TEST_CASE("model_files: the tokenizer is the options', the model's own, or CLIP's") {
  const io_test::Folder folder, known;
  write_single(folder, ModelFamily::kSdxl, true);
  write_single(known, ModelFamily::kSdxl, false);
  const auto size = ClipTokenizer::load(kTokenizer).vocab_size();
  const auto tokenizer = [](const ModelFiles& model, const char* part) { return ClipTokenizer(model.tokenizer(part)); };
  const ModelFiles own = ModelFiles::open(folder / "model.safetensors"),
                   shipped = ModelFiles::open(known / "model.safetensors"),
                   given = ModelFiles::open(known / "model.safetensors", {.tokenizer = kTokenizer});
  CHECK(tokenizer(own, "tokenizer").vocab_size() == size);
  CHECK(tokenizer(shipped, "tokenizer").vocab_size() == 49408);
  CHECK(tokenizer(shipped, "tokenizer").pad_id() == 49407);
  CHECK(tokenizer(shipped, "tokenizer_2").pad_id() == 0);
  CHECK(tokenizer(given, "tokenizer").vocab_size() == size);
  CHECK(tokenizer(given, "tokenizer_2").pad_id() == 0);  // "!"
  const io_test::Folder sd2;
  write_single(sd2, ModelFamily::kSd2, false);
  const ModelFiles second = ModelFiles::open(sd2 / "model.safetensors", {.prediction = PredictionType::kEpsilon});
  CHECK(tokenizer(second, "tokenizer").pad_id() == 0);
  CHECK_THROWS_WITH_AS(
      ModelFiles::open(known / "model.safetensors", {.tokenizer = folder / "none"}).tokenizer("tokenizer"),
      doctest::Contains("[Tokenizer]"), Error);
  CHECK_THROWS_WITH_AS(ModelFiles::open(known / "model.safetensors", {.variant = "fp16"}),
                       doctest::Contains("is one file, which has no variants"), Error);
}

}  // namespace model_files_test
