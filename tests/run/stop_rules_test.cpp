// The rules that end a run early.
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/run/stop_rules.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace stop_rules_test {
namespace {

namespace rt = reward_tuner;

/// A progress with these numbers of kept images; -1 is a skipped update.
rt::RunProgress after(const std::vector<int>& kept, const std::string& reason = "") {
  rt::RunProgress progress;
  for (const int k : kept) {
    rt::UpdateReport report{.kept = k, .skipped = k < 0};
    report.idle_reason = k == 0 ? "all equal" : reason;
    progress.add(report);
  }
  return progress;
}

}  // namespace

TEST_CASE("the stop rules look at running means") {
  CHECK_FALSE(rt::on_plateau({1, 2, 3}, 2));
  CHECK_FALSE(rt::on_plateau({1, 2, 3, 4}, 2));
  CHECK(rt::on_plateau({1, 4, 3, 2}, 2));
  CHECK_FALSE(rt::on_plateau({1, 4, 3, 2}, 0));
  std::vector<double> rewards(20, 1.0);
  CHECK_FALSE(rt::has_diverged(rewards, 0.5));
  rewards.insert(rewards.end(), 10, 0.0);
  CHECK(rt::has_diverged(rewards, 0.5));
  CHECK_FALSE(rt::has_diverged(rewards, 1.5));
  CHECK_FALSE(rt::has_diverged(rewards, 0));
}

TEST_CASE("a run ends by the first rule that holds, and goes on if none does") {
  const auto end = [](auto change) {
    rt::RunProgress progress{.rewards = {1, 4, 3, 2}};
    rt::TrainerOptions options;
    change(progress, options);
    return rt::run_end(progress, options, {{"reward"}, {"a"}});
  };
  CHECK_FALSE(end([](auto&, auto&) {}).has_value());
  CHECK(end([](auto&, auto& o) { o.updates = 4; }) == rt::RunEnd::kCompleted);
  CHECK(end([](auto&, auto& o) { o.plateau_updates = 2; }) == rt::RunEnd::kPlateau);
  CHECK(end([](auto& p, auto& o) { p.tune_seconds = 60, o.minutes = 1; }) == rt::RunEnd::kTimeUp);
  CHECK(end([](auto& p, auto& o) { p.tune_cpu_seconds = 60, o.cpu_minutes = 1; }) == rt::RunEnd::kTimeUp);
  const auto judged = [](std::int64_t evaluations) {
    return [evaluations](auto& p, auto& o) {
      for (const double x : {0.0, 1.0, 2.0}) p.evaluations.push_back({0, {{"reward", x}, {"judge.a", -x}}});
      o.judges_fall_evaluations = evaluations;
    };
  };
  CHECK_FALSE(end(judged(0)).has_value());
  CHECK(end(judged(1)) == rt::RunEnd::kJudgesFell);
  CHECK(end(judged(2)) == rt::RunEnd::kJudgesFell);
  CHECK_FALSE(end(judged(3)).has_value());
}

TEST_CASE("updates that keep nothing are counted in a row; a skipped one neither counts nor ends the row") {
  CHECK(after({3, 0, 0}).idle_in_a_row == 2);
  CHECK(after({0, 0, -1, 0}).idle_in_a_row == 3);
  CHECK(after({0, 0, 1, 0}).idle_in_a_row == 1);
  CHECK(after({0, 0, 1}).idle_reason.empty());
  CHECK(rt::idle_warning(after({0, 0})).empty());
  CHECK(rt::idle_warning(after({1, 0, 0, 0})) ==
        "3 updates in a row kept no image to train on, so nothing was learned: all equal");
  CHECK(rt::idle_warning(after({0, 0, 0, 0})).empty());  // said once
  const nlohmann::json whole = rt::to_json(after({1, 0, 0}));
  const auto back = rt::run_progress_from_json(whole);
  CHECK(back.idle_in_a_row == 2);
  CHECK(back.partly_idle_in_a_row == 2);
  CHECK(back.idle_reason == "all equal");
  for (const auto& field : whole.items()) {  // what lacks a number is of another version
    CAPTURE(field.key());
    nlohmann::json other = whole;
    other.erase(field.key());
    CHECK_THROWS_AS(rt::run_progress_from_json(other), nlohmann::json::exception);
  }

  rt::TrainerOptions options;
  options.max_idle_in_a_row = 3;
  CHECK_NOTHROW(rt::check_idle(after({0, 0}), options));
  CHECK_THROWS_WITH_AS(rt::check_idle(after({0, 0, 0}), options),
                       doctest::Contains("[Trainer] 3 updates in a row kept no image to train on, so nothing was "
                                         "learned: all equal; expected rewards that tell the compared images apart"),
                       rt::Error);
  options.max_idle_in_a_row = 0;
  CHECK_NOTHROW(rt::check_idle(after(std::vector<int>(100, 0)), options));
}

TEST_CASE("one task of several that keeps nothing is a warning and not the end") {
  const auto partly = after({4, 4, 4}, "parity: all equal");
  CHECK(partly.idle_in_a_row == 0);
  CHECK(rt::idle_warning(partly) == "3 updates in a row had a task that kept no image to train on: parity: all equal");
  rt::TrainerOptions options;
  options.max_idle_in_a_row = 1;
  CHECK_NOTHROW(rt::check_idle(partly, options));
}

}  // namespace stop_rules_test
