// A copied part loads as it is: weights under plain names, whatever form they had, and nothing that is read before.
#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <doctest/doctest.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/note.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/files/part_copy.hpp>
#include <reward_tuner/files/weights_folder.hpp>

#include <tests/reference/test_folder.hpp>

using namespace reward_tuner;
namespace fs = std::filesystem;

namespace part_copy_test {
namespace {

struct Parts {
  io_test::Folder folder;
  fs::path from = folder / "from", to = folder / "to";
  std::vector<std::string> notes;
  NoteScope scope{[this](const std::string& text) { notes.push_back(text); }};
  Parts() {
    fs::create_directories(from / "inner");
    io_test::write_text(from / "config.json", "{}");
    io_test::write_text(from / "inner" / "file.txt", "inner");
  }
  static void file(const fs::path& path, double number) { save_safetensors(path, {{"x", at::ones({1}) * number}}); }
  std::set<std::string> copied() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(to)) names.insert(entry.path().filename().string());
    return names;
  }
  double read(const WeightsNames& names) const { return find_weights(to, names).open().tensor("x").item<double>(); }
};

}  // namespace

TEST_CASE("part copy: the weights that are read become the plain ones, others are left out with a note") {
  Parts parts;
  Parts::file(parts.from / "model.fp16.safetensors", 1);
  io_test::write_text(parts.from / "pytorch_model.bin", "pickle");
  copy_part(parts.from, parts.to, "");
  CHECK((parts.copied() == std::set<std::string>{"config.json", "inner", "model.safetensors"}));
  CHECK(parts.read(kTransformersWeights) == 1);
  CHECK(io_test::read_text(parts.to / "inner" / "file.txt") == "inner");
  REQUIRE(parts.notes.size() == 1);
  CHECK(parts.notes[0].find("to has the weights that were read; not copied: pytorch_model.bin") != std::string::npos);

  Parts::file(parts.from / "model.safetensors", 2);  // the plain ones win now, unless the variant is asked for
  copy_part(parts.from, parts.to, "");
  CHECK(parts.read(kTransformersWeights) == 2);
  copy_part(parts.from, parts.to, "fp16");
  CHECK((parts.copied() == std::set<std::string>{"config.json", "inner", "model.safetensors"}));
  CHECK(parts.read(kTransformersWeights) == 1);
}

TEST_CASE("part copy: shards keep their names, and the index of a variant becomes the plain one") {
  Parts parts;
  const std::string first = "diffusion_pytorch_model.fp16-00001-of-00002.safetensors", second = "second.safetensors";
  Parts::file(parts.from / first, 1);
  save_safetensors(parts.from / second, {{"y", at::arange(3)}});
  write_json(parts.from / "diffusion_pytorch_model.safetensors.index.fp16.json",
             {{"metadata", nlohmann::json::object()}, {"weight_map", {{"x", first}, {"y", second}}}});
  // the folder had one file before, and a variant
  fs::create_directories(parts.to);
  Parts::file(parts.to / "diffusion_pytorch_model.safetensors", 5);
  Parts::file(parts.to / "diffusion_pytorch_model.fp16.safetensors", 6);
  Parts::file(parts.to / "notes.safetensors", 7);
  copy_part(parts.from, parts.to, "");
  CHECK((parts.copied() == std::set<std::string>{"config.json", "inner", "notes.safetensors", first, second,
                                                 "diffusion_pytorch_model.safetensors.index.json"}));
  CHECK(parts.read(kDiffusersWeights) == 1);
  REQUIRE(parts.notes.size() == 1);
  CHECK(parts.notes[0].find("removed what would be read in place of the new weights: "
                            "diffusion_pytorch_model.fp16.safetensors, diffusion_pytorch_model.safetensors") !=
        std::string::npos);
}

TEST_CASE("part copy: one file over shards, files that are no safetensors, and links") {
  Parts parts;
  Parts::file(parts.folder / "blob", 1);
  fs::create_symlink("../blob", parts.from / "diffusion_pytorch_model.safetensors");
  fs::create_directories(parts.to);
  Parts::file(parts.to / "diffusion_pytorch_model-00001-of-00001.safetensors", 5);
  write_json(parts.to / "diffusion_pytorch_model.safetensors.index.json",
             {{"weight_map", {{"x", "diffusion_pytorch_model-00001-of-00001.safetensors"}}}});
  Parts::file(parts.folder / "kept", 6);
  fs::create_symlink("../kept", parts.to / "diffusion_pytorch_model.safetensors");
  copy_part(parts.from, parts.to, "");
  CHECK((parts.copied() == std::set<std::string>{"config.json", "inner", "diffusion_pytorch_model.safetensors"}));
  CHECK(parts.read(kDiffusersWeights) == 1);
  CHECK_FALSE(fs::is_symlink(parts.to / "diffusion_pytorch_model.safetensors"));
  // what a link of the target led to is another's
  CHECK(SafetensorsFile::open(parts.folder / "kept").tensor("x").item<double>() == 6);

  fs::remove(parts.from / "diffusion_pytorch_model.safetensors");
  io_test::write_text(parts.from / "pytorch_model.bin",
                      "pickle");  // as a safety checker that is not loaded may have it
  copy_part(parts.from, parts.to, "");
  CHECK((parts.copied() == std::set<std::string>{"config.json", "inner", "pytorch_model.bin"}));
}

}  // namespace part_copy_test
