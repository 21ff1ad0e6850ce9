// Models as folders and as single files: one written as the other means the same, with changed weights or without.
#include <doctest/doctest.h>
#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/models/model_writer.hpp>
#include <reward_tuner/text/clip_vocabulary.hpp>

#include <tests/reference/original_file.hpp>
#include <tests/reference/test_folder.hpp>

namespace model_writer_test {
namespace {

using namespace reward_tuner;
namespace fs = std::filesystem;

constexpr ModelFamily kFamilies[] = {ModelFamily::kSd1, ModelFamily::kSd2, ModelFamily::kSdxl};
const fs::path kTokenizer = fs::path(REWARD_TUNER_TEST_DATA) / "tokenizer";

/// A tiny single file with config/ beside it, in a folder of its own.
struct Single {
  io_test::Folder folder{};
  reference::TinyParts parts;
  explicit Single(ModelFamily family, at::ScalarType type = at::kHalf) : parts(reference::tiny_parts(family, 20)) {
    auto tensors = reference::original_tensors(family, parts);
    for (auto& [name, tensor] : tensors)
      if (tensor.is_floating_point()) tensor = tensor.to(type);
    tensors["model_ema.decay"] = at::ones({1});
    save_safetensors(path(), tensors, {{"format", "pt"}, {"modelspec.title", "x"}, {"modelspec.hash_sha256", "0"}});
    reference::write_tiny_config(folder / "config", family, parts, kTokenizer);
  }
  fs::path path() const { return folder / "model.safetensors"; }
};

bool same_tensors(const std::map<std::string, Tensor>& a, const std::map<std::string, Tensor>& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [name, tensor] : a)
    if (!b.contains(name) || b.at(name).scalar_type() != tensor.scalar_type() || !at::equal(b.at(name), tensor))
      return false;
  return true;
}

/// Networks, configurations, schedule and vocabulary.
void check_same(const ModelFiles& a, const ModelFiles& b) {
  CHECK(a.networks() == b.networks());
  for (const auto& part : a.networks()) {
    CAPTURE(part);
    CHECK(a.config(part) == b.config(part));
    CHECK(same_tensors(a.tensors(part), b.tensors(part)));
  }
  CHECK(a.config("scheduler") == b.config("scheduler"));
  CHECK(a.tokenizer("tokenizer").vocabulary == b.tokenizer("tokenizer").vocabulary);
}

}  // namespace

TEST_CASE("model_writer: a single file as a folder, and that as a single file again") {
  for (const ModelFamily family : kFamilies) {
    CAPTURE(family_name(family));
    const Single single(family);
    const io_test::Folder out;
    const ModelFiles model = ModelFiles::open(single.path());
    const std::size_t networks = family == ModelFamily::kSdxl ? 4 : 3;
    CHECK(model.networks().size() == networks);
    write_model_folder(out / "folder", model);
    const ModelFiles folder = ModelFiles::open(out / "folder");
    check_same(model, folder);
    CHECK_FALSE(folder.single());
    write_model_file(out / "again" / "model.safetensors", folder);
    const ModelFiles again = ModelFiles::open(out / "again" / "model.safetensors");
    CHECK(again.single()->family() == family);
    check_same(model, again);
  }
}

TEST_CASE("model_writer: changed weights, in both forms") {
  for (const ModelFamily family : kFamilies) {
    CAPTURE(family_name(family));
    const Single single(family);
    const io_test::Folder out;
    const ModelFiles model = ModelFiles::open(single.path());
    PartWeights changed;
    for (const std::string part : {"unet", "text_encoder"}) {
      changed[part] = model.tensors(part);
      for (auto& [name, tensor] : changed[part])
        if (name.find("q_proj") != name.npos || name.find("to_q") != name.npos) tensor = tensor + 1;
    }
    write_model_folder(out / "folder", model, changed);
    const ModelFiles folder = ModelFiles::open(out / "folder");
    write_model_file(out / "a" / "model.safetensors", model, changed);
    write_model_file(out / "b" / "model.safetensors", folder);
    write_model_file(out / "c" / "model.safetensors", ModelFiles::open(out / "a" / "model.safetensors"), changed);
    for (const ModelFiles& written :
         {folder, ModelFiles::open(out / "a" / "model.safetensors"), ModelFiles::open(out / "b" / "model.safetensors"),
          ModelFiles::open(out / "c" / "model.safetensors")})
      for (const auto& part : model.networks())
        CHECK(same_tensors(written.tensors(part), changed.contains(part) ? changed.at(part) : model.tensors(part)));
    // the other tensors of a single file stay, but for the averages of other weights
    const auto file = SafetensorsFile::open(out / "a" / "model.safetensors");
    CHECK(file.contains("alphas_cumprod"));
    CHECK_FALSE(file.contains("model_ema.decay"));
    CHECK(file.metadata().at("modelspec.title") == "x");
    CHECK_FALSE(file.metadata().contains("modelspec.hash_sha256"));
  }
}

TEST_CASE("model_writer: a folder is told from its own copy by its index, and may be its own target") {
  const Single single(ModelFamily::kSd1);
  const io_test::Folder out;
  write_model_folder(out / "folder", ModelFiles::open(single.path()));
  const ModelFiles model = ModelFiles::open(out / "folder");
  auto unet = model.tensors("unet");
  for (auto& [name, tensor] : unet) tensor = tensor * 2;
  write_model_folder(out / "folder", model, {{"unet", unet}});
  CHECK(same_tensors(ModelFiles::open(out / "folder").tensors("unet"), unet));
  write_model_folder(out / "copy", model, {{"unet", unet}});
  check_same(ModelFiles::open(out / "copy"), ModelFiles::open(out / "folder"));
  // a given tokenizer goes along
  write_tokenizer(out / "clip", clip_vocabulary());
  write_model_folder(out / "given", ModelFiles::open(out / "folder", {.tokenizer = out / "clip"}));
  CHECK(ModelFiles::open(out / "given").tokenizer("tokenizer").vocabulary.size() == 49408);
}

TEST_CASE("model_writer: what is written beside a file, and what is in the way") {
  const Single single(ModelFamily::kSd2);
  const io_test::Folder out;
  const ModelFiles model = ModelFiles::open(single.path());
  std::vector<std::string> notes;
  {
    const NoteScope scope([&](const std::string& text) { notes.push_back(text); });
    write_model_file(out / "a" / "model.safetensors", model);
  }
  REQUIRE(notes.size() == 2);
  CHECK(notes[0].find("the averages model_ema.* are left out") != std::string::npos);
  CHECK(notes[1].find("config is written too: the configuration is none that is known") != std::string::npos);
  CHECK_THROWS_WITH_AS(write_model_file(single.path(), model), doctest::Contains("another file than the model's own"),
                       Error);
  CHECK_THROWS_WITH_AS(check_model_file(out / "a" / "other.safetensors", model),
                       doctest::Contains("is the configuration of another file"), Error);
  CHECK_NOTHROW(check_model_file(single.folder / "other.safetensors", model));  // its own config/ serves both
  CHECK_THROWS_WITH_AS(check_model_file(out.path, model), doctest::Contains("got the folder"), Error);
}

TEST_CASE("model_writer: a file without config/ says what its network predicts") {
  // the known configuration of the family, as far as the writer looks: networks of the published shapes are too large
  const Single single(ModelFamily::kSd2);
  const io_test::Folder out;
  write_model_folder(out / "folder", ModelFiles::open(single.path()));
  write_model_file(out / "b" / "model.safetensors", ModelFiles::open(out / "folder"));
  const auto file = SafetensorsFile::open(out / "b" / "model.safetensors");
  CHECK(file.metadata().at("modelspec.prediction_type") == "v");
  CHECK(told_prediction(file, ModelFamily::kSd2) == PredictionType::kVPrediction);
}

}  // namespace model_writer_test
