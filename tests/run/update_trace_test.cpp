// The first updates of a run as a trace.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/files/text_file.hpp>
#include <reward_tuner/run/update_trace.hpp>

#include <tests/reference/test_folder.hpp>

TEST_CASE("two updates are traced with their stages; the file is whole after each, and not touched before") {
  using namespace reward_tuner;
  const io_test::Folder folder;
  const auto file = folder / "new" / "trace.json";
  UpdateTrace trace(file);
  CHECK_FALSE(std::filesystem::exists(file));
  io_test::write_text(file, "of another run\n");
  UpdateTrace other(file);
  CHECK(read_text_file(file) == "of another run\n");
  for (int i = 1; i <= 3; ++i) {
    const int answer = trace(5, [&] {
      const StageScope stage(Stage::kRollout);
      return i;
    });
    CHECK(answer == i);
    const auto events = read_json(file).at("traceEvents");
    CHECK(events.size() == 2 * static_cast<std::size_t>(std::min(i, UpdateTrace::kUpdates)));
    CHECK(events.at(0).at("name") == "update");
    CHECK(events.at(0).at("args").at("rows") == 5);
    CHECK(events.at(1).at("name") == "rollout");
  }
  CHECK_THROWS_AS(UpdateTrace(file / "trace.json"), Error);
  CHECK_THROWS_AS(UpdateTrace(folder.path), Error);
}
