// Weights of a network in its folder: names of both libraries, shards, variants, links, and what is wrong with them.
#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <doctest/doctest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/files/weights_folder.hpp>

#include <tests/reference/test_folder.hpp>

using namespace reward_tuner;
namespace fs = std::filesystem;

namespace weights_folder_test {
namespace {

/// A folder of weights in which each file says by a number which one it is.
struct Weights : io_test::Folder {
  void file(const std::string& name, double number) const {
    save_safetensors(path / name, {{"x", at::ones({1}) * number}});
  }
  void index(const std::string& name, const std::map<std::string, std::string>& map) const {
    write_json(path / name, {{"metadata", nlohmann::json::object()}, {"weight_map", map}});
  }
  double read(const WeightsNames& names, const std::string& variant = "") const {
    return find_weights(path, names, variant).open().tensor("x").item<double>();
  }
  std::string error(const WeightsNames& names = kDiffusersWeights, const std::string& variant = "") const {
    try {
      find_weights(path, names, variant).open();
    } catch (const Error& problem) {
      return problem.what();
    }
    return "";
  }
};

/// The notes of the scope.
struct Notes {
  std::vector<std::string> said;
  NoteScope scope{[this](const std::string& text) { said.push_back(text); }};
};

void has(const std::string& text, const std::string& part) {
  CAPTURE(text);
  CAPTURE(part);
  CHECK(text.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("weights folder: the names of diffusers and transformers, in one file and in shards") {
  for (const WeightsNames& names : {kDiffusersWeights, kTransformersWeights}) {
    const std::string stem = names.stem;
    for (const std::string variant : {"", "fp16", "non_ema"}) {
      const std::string dot = variant.empty() ? "" : "." + variant;
      const Notes notes;
      {
        const Weights folder;
        folder.file(stem + dot + ".safetensors", 1);
        CHECK(folder.read(names) == 1);
        CHECK(folder.read(names, variant) == 1);
        CHECK(find_weights(folder.path, names).variant == variant);
      }
      std::vector<std::string> indices = {stem + ".safetensors.index" + dot + ".json"};
      if (!variant.empty()) indices.push_back(stem + ".safetensors" + dot + ".index.json");  // older diffusers
      for (const std::string& index : indices) {
        const Weights folder;
        const std::string first = stem + dot + "-00001-of-00002.safetensors", second = "second" + dot + ".safetensors";
        folder.file(first, 2);
        save_safetensors(folder / second, {{"y", at::arange(3)}});
        folder.index(index, {{"x", first}, {"y", second}});
        CHECK(folder.read(names) == 2);
        const WeightsFiles weights = find_weights(folder.path, names, variant);
        CHECK(weights.sharded);
        CHECK(weights.file == folder / index);
        CHECK((weights.shards() == std::vector<std::string>{first, second}));
        const WeightsSource source = weights.open();
        CHECK((source.names() == std::vector<std::string>{"x", "y"}));
        CHECK(source.where() == "'" + (folder / index).string() + "'");
      }
    }
  }
}

TEST_CASE("weights folder: where an index lies beside one file, the library's own choice is read") {
  for (const WeightsNames& names : {kDiffusersWeights, kTransformersWeights}) {
    const Weights folder;
    const std::string stem = names.stem;
    folder.file(stem + ".safetensors", 1);
    folder.file(stem + "-00001-of-00001.safetensors", 2);
    folder.index(stem + ".safetensors.index.json", {{"x", stem + "-00001-of-00001.safetensors"}});
    CHECK(folder.read(names) == (names.index_first ? 2 : 1));
  }
}

TEST_CASE("weights folder: a variant is read where it is asked for or alone, and what was not asked for is said") {
  const Weights folder;
  const std::string at = "[Weights] " + folder.path.string();
  folder.file("model.fp16.safetensors", 2);
  {
    const Notes notes;
    CHECK(folder.read(kTransformersWeights, "fp16") == 2);
    CHECK(notes.said.empty());
    CHECK(folder.read(kTransformersWeights) == 2);
    CHECK((notes.said == std::vector<std::string>{at + " has weights of the variant fp16 alone: they are read"}));
  }
  has(folder.error(kTransformersWeights, "bf16"), "model.bf16.safetensors or its index, got the variants fp16 alone");
  folder.file("model.bf16.safetensors", 3);
  has(folder.error(kTransformersWeights), "model.safetensors or its index, got the variants bf16, fp16: choose one");
  folder.file("model.safetensors", 1);
  const Notes notes;
  CHECK(folder.read(kTransformersWeights) == 1);
  CHECK(folder.read(kTransformersWeights, "bf16") == 3);
  CHECK(notes.said.empty());
  CHECK(folder.read(kTransformersWeights, "ema") == 1);
  CHECK((notes.said == std::vector<std::string>{at + " has no weights of the variant ema: the plain ones are read"}));
}

TEST_CASE("weights folder: a pipeline has the variant in some part") {
  const Weights folder;
  fs::create_directories(folder / "unet");
  fs::create_directories(folder / "text_encoder");
  folder.file("unet/diffusion_pytorch_model.safetensors", 1);
  CHECK_NOTHROW(check_variant(folder.path, ""));
  CHECK_THROWS_WITH_AS(check_variant(folder.path, "fp16"),
                       doctest::Contains("expected weights of the variant fp16 in some part, got plain ones alone"),
                       Error);
  folder.file("text_encoder/model.fp16.safetensors", 1);
  CHECK_NOTHROW(check_variant(folder.path, "fp16"));
  CHECK_THROWS_WITH_AS(check_variant(folder.path, "bf16"), doctest::Contains("in some part, got the variants fp16"),
                       Error);
}

TEST_CASE("weights folder: links, as the hub's cache has them") {
  const Weights folder;
  fs::create_directories(folder / "blobs");
  fs::create_directories(folder / "unet");
  folder.file("blobs/first", 1);
  save_safetensors(folder / "blobs/second", {{"y", at::arange(3)}});
  folder.index("blobs/index", {{"x", "a.safetensors"}, {"y", "b.safetensors"}});
  fs::create_symlink("../blobs/first", folder / "unet/a.safetensors");
  fs::create_symlink("../blobs/second", folder / "unet/b.safetensors");
  fs::create_symlink("../blobs/index", folder / "unet/diffusion_pytorch_model.safetensors.index.json");
  const auto weights = find_weights(folder / "unet", kDiffusersWeights);
  CHECK(weights.open().tensor("x").item<double>() == 1);
  fs::remove(folder / "blobs/second");
  CHECK_THROWS_WITH_AS(weights.open(), doctest::Contains("got a link to ../blobs/second, where there is no file"),
                       Error);
  fs::create_symlink("../blobs/third", folder / "unet/model.safetensors");
  CHECK_THROWS_WITH_AS(find_weights(folder / "unet", kTransformersWeights).open(),
                       doctest::Contains("model.safetensors, got a link to ../blobs/third"), Error);
}

TEST_CASE("weights folder: damaged shards and indices are named") {
  const Weights folder;
  const std::string first = "diffusion_pytorch_model-00001-of-00002.safetensors",
                    second = "diffusion_pytorch_model-00002-of-00002.safetensors",
                    index = "diffusion_pytorch_model.safetensors.index.json";
  folder.file(first, 1);
  const auto write_second = [&] { save_safetensors(folder / second, {{"y", at::arange(300)}}); };
  write_second();
  has(folder.error(), "got " + first + ": a shard is only read by the index of its weights, which is missing");
  folder.index(index, {{"x", first}, {"y", second}});
  CHECK(folder.error().empty());
  for (const std::uintmax_t size : {std::uintmax_t{0}, std::uintmax_t{7}, fs::file_size(folder / second) - 1}) {
    fs::resize_file(folder / second, size);
    has(folder.error(), second);
    write_second();
  }
  fs::remove(folder / second);
  has(folder.error(), "expected the shard that '" + (folder / index).string() + "' names at " +
                          (folder / second).string() + ", got no such file");
  write_second();
  folder.index(index, {{"x", first}, {"y", second}, {"z", second}});
  has(folder.error(), "index.json': expected 'z' in the shard " + second + ", got none there");
  folder.index(index, {{"x", second}, {"y", second}});
  has(folder.error(), "expected 'x' in the shard " + second + ", got none there");
  save_safetensors(folder / second, {{"x", at::ones({1})}, {"y", at::arange(3)}});
  folder.index(index, {{"x", first}, {"y", second}});
  has(folder.error(), "expected one tensor 'x', got two: 'x' of '" + (folder / first).string() + "' and 'x' of '" +
                          (folder / second).string() + "'");
  folder.index(index, {{"x", first}, {"y", "../" + second}});
  has(folder.error(), "as the name of a safetensors file beside the index");
  io_test::write_text(folder / index, "{\"weight_map\": ");
  has(folder.error(), index);
}

TEST_CASE("weights folder: what is no weights, or of another form, is named with what to do") {
  const auto alone = [](const std::string& name) {
    const Weights folder;
    io_test::write_text(folder / name, "x");
    return folder.error();
  };
  has(alone("diffusion_pytorch_model.bin"), "got diffusion_pytorch_model.bin: pickle files are not read");
  has(alone("diffusion_pytorch_model.bin.index.json"), "pickle files are not read");
  has(alone("diffusion_flax_model.msgpack"), "only safetensors are read");
  has(alone("other.safetensors"), "got other.safetensors: this name is not read here");
  has(alone("notes.txt"), "no file of weights there");
  has(alone("diffusion_pytorch_model.a.b.safetensors"), "this name is not read here");
  has(Weights().error(), "an empty or missing folder");
  CHECK_THROWS_WITH_AS(find_weights("/nowhere", kDiffusersWeights, "fp16"),
                       doctest::Contains("/nowhere/diffusion_pytorch_model.fp16.safetensors"), Error);
}

TEST_CASE("weights folder: names of weights") {
  for (const char* name :
       {"model.safetensors", "model.fp16.safetensors", "model-00001-of-00002.safetensors",
        "model.fp16-00001-of-00002.safetensors", "model.safetensors.index.json", "model.safetensors.index.fp16.json",
        "diffusion_pytorch_model.safetensors.fp16.index.json", "diffusion_pytorch_model.bin",
        "pytorch_model.bin.index.json", "pytorch_model.fp16.bin", "flax_model.msgpack", "model.onnx"})
    CHECK_MESSAGE(is_weights_name(name), name);
  for (const char* name : {"config.json", "model.json", "models.safetensors", "tokenizer.json", "model_index.json",
                           "optimizer.bin", "pytorch_lora_weights.safetensors", "model", "model.txt"})
    CHECK_FALSE_MESSAGE(is_weights_name(name), name);
}

}  // namespace weights_folder_test
