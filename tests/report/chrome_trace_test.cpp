// A trace is JSON whose spans nest as the scopes did.
#include <doctest/doctest.h>

#include <string>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/report/chrome_trace.hpp>

#include <tests/reference/test_folder.hpp>

TEST_CASE("chrome trace: complete events in the order of their begins, and a named error where it cannot be written") {
  using namespace reward_tuner;
  const io_test::Folder folder;
  const auto file = folder / "trace.json";
  write_chrome_trace(file, {});
  CHECK(read_json(file).at("traceEvents").empty());
  write_chrome_trace(file, {{"network", 10.5, 0.25, 2, 4}, {"rollout", 10.5, 0.5, 1, 0}, {"update", 10.0, 2.0, 0, 0}});
  const auto events = read_json(file).at("traceEvents");
  REQUIRE(events.size() == 3);
  CHECK(events[0].at("name") == "update");
  CHECK(events[0].at("ts") == 0.0);
  CHECK(events[0].at("dur") == doctest::Approx(2e6));
  CHECK(events[1].at("name") == "rollout");  // the outer of two that begin together goes first
  CHECK(events[2].at("ts") == doctest::Approx(5e5));
  CHECK(events[2].at("args").at("rows") == 4);
  CHECK_FALSE(events[1].contains("args"));
  for (const auto& event : events) {
    CHECK(event.at("ph") == "X");
    CHECK(event.contains("pid"));
    CHECK(event.contains("tid"));
  }
  CHECK_THROWS_WITH_AS(write_chrome_trace(folder / "absent" / "trace.json", {}), doctest::Contains("[File] could not"),
                       Error);
  CHECK_THROWS_WITH_AS(write_chrome_trace(folder.path, {}), doctest::Contains("it is a folder"), Error);
}
