// Files that a crash, a full disk or a bad copy left damaged: a checkpoint falls back to the one before with a
// sentence, an adapter is refused by name.
#include <ATen/ops/equal.h>
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/files/sealed_json.hpp>

#include <tests/reference/file_bytes.hpp>
#include <tests/reference/small_run.hpp>
#include <tests/reference/tiny_folder.hpp>

namespace damaged_files_test {
namespace {

namespace rt = reward_tuner;

using reward_tuner::reference::bytes;

void write(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

struct Damage {
  std::string name;
  std::function<void(const std::filesystem::path& checkpoint)> apply;
};

/// One damage of every class.
std::vector<Damage> damages() {
  std::vector<Damage> all;
  const auto change = [&](std::string name, const char* file, auto f) {
    all.push_back({std::move(name), [=](const std::filesystem::path& checkpoint) {
                     write(checkpoint / file, f(bytes(checkpoint / file)));
                   }});
  };
  const auto remove = [&](std::string name, const char* file) {
    all.push_back({std::move(name),
                   [=](const std::filesystem::path& checkpoint) { std::filesystem::remove(checkpoint / file); }});
  };
  const auto state = [&](std::string name, auto f) {  // other content, sealed as it should be
    all.push_back({std::move(name), [=](const std::filesystem::path& checkpoint) {
                     auto json = rt::read_sealed_json(checkpoint / "state.json");
                     json.erase("checksum");
                     f(json);
                     rt::write_sealed_json(checkpoint / "state.json", json);
                   }});
  };
  const auto header_bytes = [](const std::string& text) {  // little-endian length of a safetensors header
    std::uint64_t length = 0;
    for (int i = 7; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(text[static_cast<std::size_t>(i)]);
    return static_cast<std::size_t>(length);
  };
  change("tensors empty", "tensors.safetensors", [](const std::string&) { return std::string(); });
  change("tensors: half the length field", "tensors.safetensors",
         [](const std::string& text) { return text.substr(0, 4); });
  change("tensors: half the header", "tensors.safetensors",
         [=](const std::string& text) { return text.substr(0, 8 + header_bytes(text) / 2); });
  change("tensors: header only", "tensors.safetensors",
         [=](const std::string& text) { return text.substr(0, 8 + header_bytes(text)); });
  change("tensors: half the body", "tensors.safetensors",
         [=](const std::string& text) { return text.substr(0, (8 + header_bytes(text) + text.size()) / 2); });
  change("tensors: last byte missing", "tensors.safetensors",
         [](const std::string& text) { return text.substr(0, text.size() - 1); });
  change("tensors: a byte too many", "tensors.safetensors", [](const std::string& text) { return text + 'x'; });
  change("tensors: zeros of the same size", "tensors.safetensors",
         [](const std::string& text) { return std::string(text.size(), '\0'); });
  change("tensors: header overwritten", "tensors.safetensors",
         [](std::string text) { return text.replace(20, 8, "########"); });
  remove("tensors missing", "tensors.safetensors");
  change("tensors: a flipped bit of a number", "tensors.safetensors", [](std::string text) {
    text[text.size() - 5] = static_cast<char>(text[text.size() - 5] ^ 4);
    return text;
  });
  change("state: a flipped bit of a number", "state.json", [](std::string text) {
    const std::size_t at = text.find("\"forwards\": ") + 12;
    text[at] = static_cast<char>(text[at] ^ 1);  // another digit
    return text;
  });
  change("state empty", "state.json", [](const std::string&) { return std::string(); });
  change("state: half", "state.json", [](const std::string& text) { return text.substr(0, text.size() / 2); });
  change("state: last brace missing", "state.json",
         [](const std::string& text) { return text.substr(0, text.rfind('}')); });
  change("state: zeros", "state.json", [](const std::string& text) { return std::string(text.size(), '\0'); });
  change("state: a list", "state.json", [](const std::string&) { return std::string("[1, 2]"); });
  remove("state missing", "state.json");
  state("state: another format", [](nlohmann::json& json) { json["format"] = 99; });
  state("state without counters", [](nlohmann::json& json) { json["state"].erase("tuner"); });
  state("state: counters of another type", [](nlohmann::json& json) { json["state"]["tuner"]["updates"] = "six"; });
  state("state without progress", [](nlohmann::json& json) { json["state"].erase("progress"); });
  state("state: rewards of another type", [](nlohmann::json& json) { json["state"]["progress"]["rewards"] = {"a"}; });
  state("state: no fingerprint", [](nlohmann::json& json) { json["state"].erase("fingerprint"); });
  state("state: null", [](nlohmann::json& json) { json["state"] = nullptr; });
  return all;
}

}  // namespace

TEST_CASE(
    "a damaged newest checkpoint is passed over with a sentence, and the run resumes from the one before to the same "
    "bytes") {
  const rt::reference::TemporaryFolder folder;
  const auto model = folder / "model";
  rt::reference::write_tiny_model(model, REWARD_TUNER_TEST_DATA "/tokenizer");
  auto options = rt::reference::small_run_options(4, 0, 1);
  options.tensorboard = false;
  rt::reference::small_run(model, folder / "whole", options);
  auto three = options;
  three.updates = 3;
  rt::reference::small_run(model, folder / "three", three);

  auto again = options;
  again.resume = true;
  int number = 0;
  for (const auto& damage : damages()) {
    CAPTURE(damage.name);
    const auto run = folder / ("run" + std::to_string(number++));
    std::filesystem::copy(folder / "three", run, std::filesystem::copy_options::recursive);
    damage.apply(run / "checkpoints" / "update-000003");
    std::ostringstream said;
    again.progress = &said;
    std::vector<std::string> notes;
    std::int64_t from = -1;
    rt::reference::small_run(model, run, again, 2.0, rt::SymmetryReward(), [&](const auto& trainer) {
      notes = trainer.notes();
      from = trainer.progress().done();
    });
    CHECK(from == 2);
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].find("update-000003' cannot be used and is skipped: ") != std::string::npos);
    CHECK(said.str().find("note: " + notes[0]) != std::string::npos);
    CHECK(std::filesystem::exists(run / "checkpoints" / "broken-update-000003"));  // kept for a look
    for (const char* file :
         {"metrics.jsonl", "evaluations.jsonl", "lora/pytorch_lora_weights.safetensors",
          "checkpoints/update-000004/tensors.safetensors", "checkpoints/update-000003/tensors.safetensors"})
      CHECK_MESSAGE(bytes(folder / "whole" / file) == bytes(run / file), file);
  }
  MESSAGE(number, " kinds of damage");
}

TEST_CASE("if no checkpoint can be used the resume is refused with every reason, and nothing on the disk changes") {
  const rt::reference::TemporaryFolder folder;
  const auto model = folder / "model", run = folder / "run";
  rt::reference::write_tiny_model(model, REWARD_TUNER_TEST_DATA "/tokenizer");
  auto options = rt::reference::small_run_options(2, 0, 1);
  options.tensorboard = false;
  rt::reference::small_run(model, run, options);
  write(run / "checkpoints" / "update-000001" / "state.json", "{");
  write(run / "checkpoints" / "update-000002" / "tensors.safetensors", "");
  const std::string metrics = bytes(run / "metrics.jsonl");
  options.resume = true;
  CHECK_THROWS_WITH_AS(rt::reference::small_run(model, run, options), doctest::Contains("got no usable one"),
                       rt::Error);
  CHECK_THROWS_WITH_AS(rt::reference::small_run(model, run, options), doctest::Contains("update-000001"), rt::Error);
  CHECK_THROWS_WITH_AS(rt::reference::small_run(model, run, options), doctest::Contains("update-000002"), rt::Error);
  CHECK(bytes(run / "metrics.jsonl") == metrics);
  CHECK(std::filesystem::exists(run / "checkpoints" / "update-000001"));
  CHECK(std::filesystem::exists(run / "checkpoints" / "update-000002"));
}

TEST_CASE("an adapter that is cut short, emptied or missing is a named error and leaves the network as it was") {
  const rt::reference::TemporaryFolder folder;
  rt::reference::write_tiny_model(folder / "model", REWARD_TUNER_TEST_DATA "/tokenizer");
  const auto file = folder / "pytorch_lora_weights.safetensors";
  {
    auto pipeline = rt::StableDiffusion::load(folder / "model");
    rt::Lora::attach(pipeline.unet(), {.rank = 1, .targets = {"to_q", "to_v"}}).save(file);
  }
  const std::string whole = bytes(file);
  auto pipeline = rt::StableDiffusion::load(folder / "model");
  std::vector<std::pair<std::string, rt::Tensor>> before;
  for (const auto& [name, value] : rt::state_dict(pipeline.unet())) before.emplace_back(name, value.clone());
  for (const std::size_t length :
       {std::size_t{0}, std::size_t{4}, std::size_t{8}, whole.size() / 4, whole.size() / 2, whole.size() - 1}) {
    CAPTURE(length);
    write(file, whole.substr(0, length));
    CHECK_THROWS_WITH_AS(rt::Lora::load(pipeline.unet(), file), doctest::Contains("pytorch_lora_weights.safetensors"),
                         rt::Error);
  }
  std::filesystem::remove(file);
  CHECK_THROWS_WITH_AS(rt::Lora::load(pipeline.unet(), file), doctest::Contains("pytorch_lora_weights.safetensors"),
                       rt::Error);
  const auto after = rt::state_dict(pipeline.unet());
  REQUIRE(after.size() == before.size());
  for (const auto& entry : before) CHECK_MESSAGE(at::equal(entry.second, after.at(entry.first)), entry.first);
  write(file, whole);
  CHECK_NOTHROW(rt::Lora::load(pipeline.unet(), file));
}

}  // namespace damaged_files_test
