// Checkpoints survive kills, torn files and full disks.
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/checkpoint.hpp>

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/files/sealed_json.hpp>

#include <tests/reference/file_bytes.hpp>
#include <tests/reference/tiny_folder.hpp>

namespace checkpoint_test {
namespace {

namespace rt = reward_tuner;

rt::Checkpoint numbered(std::int64_t update, std::int64_t size = 64) {
  rt::Checkpoint checkpoint;
  checkpoint.tensors = {{"weights", at::full({size}, static_cast<double>(update), at::kFloat)},
                        {"rng", at::arange(32, at::kByte)},
                        {"step", at::full({}, 0.1 * static_cast<double>(update), at::kFloat)}};
  checkpoint.state = {{"update", update}, {"reward", 0.1}};
  return checkpoint;
}

bool holds(const rt::CheckpointFolder& folder, std::int64_t update) {
  const auto found = folder.load(update), wanted = numbered(update);
  if (found.state != wanted.state || found.tensors.size() != wanted.tensors.size()) return false;
  for (const auto& [name, tensor] : wanted.tensors)
    if (found.tensors.at(name).scalar_type() != tensor.scalar_type() || !at::equal(found.tensors.at(name), tensor))
      return false;
  return true;
}

/// Runs `work` in a child process; returns how it ended as waitpid tells.
template <class Work>
int in_child(Work work) {
  const ::pid_t child = ::fork();
  if (child == 0) {
    try {
      work();
    } catch (...) {
      ::_exit(7);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

std::size_t entries(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()));
}

}  // namespace

TEST_CASE("a checkpoint comes back bit for bit and the newest stay") {
  const rt::reference::TemporaryFolder folder;
  const rt::CheckpointFolder checkpoints(folder / "checkpoints", 2);
  CHECK_FALSE(checkpoints.latest().has_value());
  for (const std::int64_t update : {0, 50, 100}) checkpoints.save(update, numbered(update));
  CHECK(checkpoints.updates() == std::vector<std::int64_t>{50, 100});
  CHECK(checkpoints.latest() == 100);
  CHECK(holds(checkpoints, 50));
  CHECK(holds(checkpoints, 100));
  CHECK(entries(folder / "checkpoints") == 2);
  CHECK(checkpoints.path(50).filename() == "update-000050");
  CHECK_THROWS_WITH_AS(checkpoints.save(100, numbered(100)), doctest::Contains("already"), rt::Error);
  CHECK_THROWS_WITH_AS(checkpoints.load(7), doctest::Contains("update-000007"), rt::Error);
}

TEST_CASE("a kill at any stage of a save leaves a usable checkpoint") {
  for (const auto stage : {rt::SaveStage::kBegun, rt::SaveStage::kTensors, rt::SaveStage::kState,
                           rt::SaveStage::kInPlace, rt::SaveStage::kPruned}) {
    CAPTURE(static_cast<int>(stage));
    const rt::reference::TemporaryFolder folder;
    const rt::CheckpointFolder checkpoints(folder / "checkpoints", 1);
    checkpoints.save(10, numbered(10));
    const int status = in_child([&] {
      checkpoints.save(20, numbered(20), [&](rt::SaveStage at) {
        if (at == stage) ::kill(::getpid(), SIGKILL);
      });
    });
    REQUIRE(WIFSIGNALED(status));
    const std::int64_t wanted = stage < rt::SaveStage::kInPlace ? 10 : 20;
    CHECK(checkpoints.latest() == wanted);
    CHECK(holds(checkpoints, wanted));
    checkpoints.save(30, numbered(30));  // clears what the dead process left
    CHECK(checkpoints.latest() == 30);
    CHECK(entries(folder / "checkpoints") == 1);
  }
}

TEST_CASE("a flipped bit anywhere in a checkpoint is found, and the error names where") {
  const rt::reference::TemporaryFolder folder;
  const rt::CheckpointFolder checkpoints(folder / "checkpoints", 2);
  rt::Checkpoint checkpoint;
  checkpoint.tensors = {{"first", at::arange(5, at::kFloat)},
                        {"second", at::arange(3, at::kLong)},
                        {"third", at::arange(7, at::kByte)},
                        {"none", at::zeros({0, 2})}};
  checkpoint.state = {{"text", "words"}, {"number", 0.1}, {"list", {1, 20, 300}}, {"flag", true}};
  checkpoints.save(1, checkpoint);
  const auto tensors = checkpoints.path(1) / "tensors.safetensors", state = checkpoints.path(1) / "state.json";
  const std::string whole = rt::reference::bytes(tensors), text = rt::reference::bytes(state);
  std::uint64_t header = 0;
  std::memcpy(&header, whole.data(), sizeof header);
  const std::size_t data = 8 + header;
  // in the order of the file: the widest numbers first
  const std::vector<std::pair<std::string, std::size_t>> parts = {
      {"the tensor second", data + 24}, {"the tensor first", data + 44}, {"the tensor third", data + 51}};
  REQUIRE(whole.size() == parts.back().second);
  const auto error = [&](const std::filesystem::path& file, std::string bytes, std::size_t bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
    try {
      checkpoints.load(1);
    } catch (const rt::Error& problem) {
      return std::string(problem.what());
    }
    return std::string("nothing");
  };
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    const std::string said = error(tensors, whole, bit);
    std::string place = "header";
    for (auto part = parts.rbegin(); part != parts.rend(); ++part)
      if (bit / 8 >= data && bit / 8 < part->second) place = part->first;
    if (said.find(place) == std::string::npos || said.find("tensors.safetensors") == std::string::npos)
      FAIL_CHECK("bit " << bit << " of " << place << ": " << said);
  }
  std::ofstream(tensors, std::ios::binary | std::ios::trunc) << whole;
  for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
    const std::string said = error(state, text, bit);
    const bool sealed = said.find("state.json' is damaged") != std::string::npos;
    if (!sealed &&
        said.find("state.json' is not sealed: written by an earlier version, or damaged") == std::string::npos)
      FAIL_CHECK("bit " << bit << " of the state: " << said);
  }
  std::ofstream(state, std::ios::binary | std::ios::trunc) << text;
  CHECK(checkpoints.load(1).state == checkpoint.state);
  CHECK(checkpoints.load_newest().broken.empty());
}

TEST_CASE("torn and foreign checkpoints are not seen and are replaced") {
  const rt::reference::TemporaryFolder folder;
  const rt::CheckpointFolder checkpoints(folder.path(), 3);
  for (const std::int64_t update : {1, 2, 3, 4}) {
    const rt::CheckpointFolder all(folder.path(), 9);
    all.save(update, numbered(update));
  }
  std::filesystem::resize_file(checkpoints.path(4) / "tensors.safetensors", 100);
  std::filesystem::remove(checkpoints.path(3) / "tensors.safetensors");
  std::ofstream(checkpoints.path(2) / "state.json") << "{\"format\": 2, \"upd";
  std::filesystem::create_directory(folder / "update-abc");
  CHECK(checkpoints.updates() == std::vector<std::int64_t>{1});
  CHECK_THROWS_WITH_AS(checkpoints.load(4), doctest::Contains("incomplete"), rt::Error);
  checkpoints.save(4, numbered(4));
  CHECK(holds(checkpoints, 4));
}

TEST_CASE("checkpoints of earlier versions are said to be that: not sealed, or of another format") {
  const rt::reference::TemporaryFolder folder;
  const rt::CheckpointFolder checkpoints(folder.path(), 9);
  checkpoints.save(1, numbered(1));
  const auto state = checkpoints.path(1) / "state.json";
  const auto refused = [&](const char* sentence) {
    CHECK_THROWS_WITH_AS(checkpoints.load(1), doctest::Contains(sentence), rt::Error);
  };
  auto json = rt::read_sealed_json(state);
  CHECK(json.at("format") == 2);
  json.erase("checksum");
  json["format"] = 1;
  rt::write_sealed_json(state, json);
  refused("state.json' expected format 2, got 1");
  rt::write_json(state, json);
  refused("state.json' is not sealed: written by an earlier version, or damaged");
}

TEST_CASE("the newest checkpoint that can be read is found past damaged ones, which can be set aside") {
  const rt::reference::TemporaryFolder folder;
  const rt::CheckpointFolder checkpoints(folder.path(), 9);
  CHECK_FALSE(checkpoints.load_newest().update.has_value());
  for (const std::int64_t update : {1, 2, 3, 4}) checkpoints.save(update, numbered(update));
  std::filesystem::resize_file(checkpoints.path(4) / "tensors.safetensors", 9);
  const auto newest = checkpoints.load_newest([](const rt::Checkpoint& checkpoint) {
    REWARD_TUNER_CHECK(checkpoint.state.at("update") != 3, "three is not expected");
  });
  CHECK(newest.update == 2);
  CHECK(newest.checkpoint.state.at("update") == 2);
  CHECK(newest.broken == std::vector<std::int64_t>{4, 3});
  REQUIRE(newest.notes.size() == 2);
  CHECK(newest.notes[0].find("update-000004' cannot be used and is skipped: [Checkpoint]") != std::string::npos);
  CHECK(newest.notes[1].find("three is not expected") != std::string::npos);
  checkpoints.set_aside(3);
  CHECK(checkpoints.updates() == std::vector<std::int64_t>{1, 2});
  CHECK(entries(folder.path()) == 4);
  checkpoints.save(3, numbered(3));
  CHECK(holds(checkpoints, 3));
  CHECK_THROWS_WITH_AS(checkpoints.set_aside(7), doctest::Contains("set aside"), rt::Error);
}

TEST_CASE("a full disk is a named error and the older checkpoint stays") {
  const rt::reference::TemporaryFolder folder;
  const rt::CheckpointFolder checkpoints(folder / "checkpoints", 1);
  checkpoints.save(1, numbered(1));
  const int status = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const ::rlimit limit{1 << 16, 1 << 16};  // a file above 64 KiB fails as on a full disk
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      checkpoints.save(2, numbered(2, 1 << 18));
    } catch (const rt::Error& error) {
      ::_exit(std::string(error.what()).find("[File]") != std::string::npos ? 42 : 43);
    }
  });
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 42);
  CHECK(checkpoints.latest() == 1);
  CHECK(holds(checkpoints, 1));
  CHECK(entries(folder / "checkpoints") == 1);
}

}  // namespace checkpoint_test
