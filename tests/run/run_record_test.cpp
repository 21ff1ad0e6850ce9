// What an update leaves in metrics.jsonl.
#include <doctest/doctest.h>

#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include <reward_tuner/run/run_record.hpp>
#include <reward_tuner/run/trainer_options.hpp>

#include <tests/reference/test_folder.hpp>

namespace run_record_test {
namespace {

using namespace reward_tuner;

/// The line of metrics.jsonl that the report becomes.
nlohmann::json line_of(const UpdateReport& report) {
  const io_test::Folder runs;
  {
    RunRecord record(RunFolder::create(runs / "a"), RunProgress(), TrainerOptions());
    record.add_update(report, 0.01);
  }
  std::ifstream lines(runs / "a" / "metrics.jsonl");
  std::string line;
  std::getline(lines, line);
  return nlohmann::json::parse(line);
}

}  // namespace
}  // namespace run_record_test

TEST_CASE("rates of rows stand where there were rows, and nowhere else") {
  using namespace run_record_test;
  const auto direct = line_of({.update = 1, .steps = {{.step = 0, .cotangent_norm = 1}}});
  const auto round =
      line_of({.update = 1, .ratio_mean = 1.5, .clip_fraction = 0.25, .steps = {{.step = 0, .rows = 4}}});
  CHECK(round.at("ratio_mean") == 1.5);
  CHECK(round.at("clip_fraction") == 0.25);
  for (const char* rate : {"ratio_mean", "ratio_std", "ratio_deviation", "clip_fraction", "log_prob_difference"}) {
    CHECK_FALSE(direct.contains(rate));
    CHECK(round.contains(rate));
  }
}

TEST_CASE("the reason of a task that failed is written whether or not the whole update was skipped") {
  using namespace run_record_test;
  const std::string reason = "broken: the reward is not finite";
  CHECK(line_of({.update = 1, .skipped = true, .skip_reason = reason}).at("skip_reason") == reason);
  const auto half = line_of({.update = 1, .skip_reason = reason});
  CHECK(half.at("skip_reason") == reason);
  CHECK(half.at("skipped") == false);
  CHECK_FALSE(line_of({.update = 1}).contains("skip_reason"));
}

TEST_CASE("groups that taught nothing are counted") {
  using namespace run_record_test;
  const auto line =
      line_of({.update = 1, .kept = 0, .groups = 4, .idle_groups = 4, .zero_std_ratio = 0.75, .warning = "nothing"});
  CHECK(line.at("kept") == 0);
  CHECK(line.at("groups") == 4);
  CHECK(line.at("idle_groups") == 4);
  CHECK(line.at("zero_std_ratio") == 0.75);
  CHECK(line.at("warning") == "nothing");
}

TEST_CASE("the gradient norm of a regularizer's own step has its own number") {
  using namespace run_record_test;
  const auto line = line_of({.update = 1, .gradient_norm = 0.5, .regularizer_gradient_norm = 0.25});
  CHECK(line.at("gradient_norm") == 0.5);
  CHECK(line.at("regularizer_gradient_norm") == 0.25);
}

TEST_CASE("what each trained step measured is a list for each number") {
  using namespace run_record_test;
  const auto line =
      line_of({.update = 1,
               .steps = {{.step = 0, .rows = 4, .clip_fraction = 0.25, .policy_change = 2, .cotangent_norm = 3},
                         {.step = 4, .rows = 4, .clip_fraction = 1, .policy_change = 5, .cotangent_norm = 6}}});
  CHECK(line.at("steps") == nlohmann::json{{"step", {0, 4}},
                                           {"clip_fraction", {0.25, 1.0}},
                                           {"policy_change", {2.0, 5.0}},
                                           {"cotangent_norm", {3.0, 6.0}}});
  const auto tasks = line_of({.update = 1, .steps = {{.task = "a", .step = 1}, {.task = "b", .step = 1}}});
  CHECK(tasks.at("steps").at("task") == nlohmann::json{"a", "b"});
  CHECK(line_of({.update = 1}).at("steps").empty());
}
