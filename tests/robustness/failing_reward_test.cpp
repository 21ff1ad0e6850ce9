// A reward that fails in the middle of a run: what it may end is told by name, and what was trained up to then is
// there.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <tests/reference/file_bytes.hpp>
#include <tests/reference/small_run.hpp>
#include <tests/reference/tiny_folder.hpp>

namespace failing_reward_test {

enum class Failure { kNone, kThrows, kNan, kWrongShape, kInfiniteGradient };

/// Symmetry, until `failure` says otherwise.
struct MoodyReward {
  using Role = reward_tuner::RewardRole;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "moody";
  std::shared_ptr<Failure> failure;

  reward_tuner::RewardResult score(const reward_tuner::RewardInput& input) const {
    auto result = reward_tuner::SymmetryReward().score(input);
    const auto zero = result.values - result.values.detach();  // [B]
    switch (*failure) {
      case Failure::kNone:
        break;
      case Failure::kThrows:
        throw std::runtime_error("the network of the reward is down");
      case Failure::kNan:
        return {result.values * std::numeric_limits<double>::quiet_NaN()};
      case Failure::kWrongShape:
        return {result.values.unsqueeze(1)};
      // 0 with an infinite or undefined slope
      case Failure::kInfiniteGradient:
        return {result.values + zero.abs().sqrt()};
    }
    return result;
  }
};
static_assert(reward_tuner::RewardPolicy<MoodyReward>);

namespace {

namespace rt = reward_tuner;

using reward_tuner::reference::bytes;

struct Runs {
  rt::reference::TemporaryFolder folder;
  std::filesystem::path model = folder / "model";
  std::shared_ptr<Failure> failure = std::make_shared<Failure>(Failure::kNone);
  Runs() { rt::reference::write_tiny_model(model, REWARD_TUNER_TEST_DATA "/tokenizer"); }

  /// A run of six updates in which the reward fails in updates `first` to `last`.
  rt::TrainingOutcome run(const std::filesystem::path& to, bool resume = false, Failure kind = Failure::kNone,
                          std::int64_t first = 0, std::int64_t last = 0) {
    auto options = rt::reference::small_run_options(6, 0, 2);
    options.tensorboard = false;
    options.resume = resume;
    *failure = Failure::kNone;
    options.on_update = [&, kind, first, last](const rt::UpdateReport& report) {
      *failure = report.update + 1 >= first && report.update + 1 <= last ? kind : Failure::kNone;
    };
    return rt::reference::small_run(model, to, options, 2.0, MoodyReward{failure}, [](const auto&) {});
  }
};

}  // namespace

TEST_CASE(
    "a reward that throws or answers in the wrong shape ends the run by name; its checkpoint resumes to the bytes of a "
    "good run") {
  Runs runs;
  runs.run(runs.folder / "whole");
  for (const auto& failure : {std::pair{Failure::kThrows, "the reward moody threw: the network of the reward is down"},
                              std::pair{Failure::kWrongShape, "must return [2] values, got [2, 1]"}}) {
    const Failure kind = failure.first;
    const char* const sentence = failure.second;
    CAPTURE(sentence);
    const auto run = runs.folder / ("run" + std::to_string(static_cast<int>(kind)));
    CHECK_THROWS_WITH_AS(runs.run(run, false, kind, 4, 4), doctest::Contains(sentence), rt::Error);
    CHECK_FALSE(std::filesystem::exists(run / "report.json"));
    CHECK(rt::CheckpointFolder(run / "checkpoints").latest() == 2);
    const std::string three = bytes(run / "metrics.jsonl"), whole = bytes(runs.folder / "whole" / "metrics.jsonl");
    CHECK(std::count(three.begin(), three.end(), '\n') == 3);
    CHECK(three == whole.substr(0, three.size()));
    runs.run(run, true);
    for (const char* file : {"metrics.jsonl", "evaluations.jsonl", "lora/pytorch_lora_weights.safetensors",
                             "checkpoints/update-000006/tensors.safetensors"})
      CHECK_MESSAGE(bytes(runs.folder / "whole" / file) == bytes(run / file), file);
  }
}

TEST_CASE(
    "a reward that is not finite, or whose gradient is not, skips its updates in the log and leaves weights and "
    "moments as they were") {
  Runs runs;
  for (const auto kind : {Failure::kNan, Failure::kInfiniteGradient}) {
    CAPTURE(static_cast<int>(kind));
    const auto run = runs.folder / ("run" + std::to_string(static_cast<int>(kind)));
    // the checkpoint of update 4 is the last before the failures
    const auto outcome = runs.run(run, false, kind, 5, 6);
    CHECK(outcome.end == rt::RunEnd::kCompleted);
    CHECK(outcome.progress.skipped_updates == 2);
    CHECK(rt::read_json(run / "report.json").at("skipped_updates") == 2);
    std::ifstream lines(run / "metrics.jsonl");
    std::vector<bool> skipped;
    for (std::string line; std::getline(lines, line);)
      skipped.push_back(nlohmann::json::parse(line).at("skipped").get<bool>());
    CHECK(skipped == std::vector<bool>{false, false, false, false, true, true});
    const rt::CheckpointFolder checkpoints(run / "checkpoints");
    const auto before = checkpoints.load(4), after = checkpoints.load(6);
    REQUIRE(before.tensors.size() == after.tensors.size());
    for (const auto& entry : before.tensors)
      // the random stream has gone on
      if (entry.first != "rng") CHECK_MESSAGE(at::equal(entry.second, after.tensors.at(entry.first)), entry.first);
  }
}

}  // namespace failing_reward_test
