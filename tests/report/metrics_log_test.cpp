// The metrics file: one flushed line a record, cut back on resume, torn last lines removed.
#include <doctest/doctest.h>

#include <limits>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/report/metrics_log.hpp>

#include <tests/reference/test_folder.hpp>

using namespace reward_tuner;

TEST_CASE("metrics_log: each record is one line, on disk at once, and a new log continues the file") {
  const io_test::Folder folder;
  MetricsLog log(folder / "metrics.jsonl");
  log.append({{"update", 1}, {"reward", 0.25}});
  CHECK(io_test::read_text(log.path()) == "{\"reward\":0.25,\"update\":1}\n");
  log.append({{"update", 2}, {"reward", std::numeric_limits<double>::quiet_NaN()}, {"prompt", "two\nlines \xFF"}});
  MetricsLog again(folder / "metrics.jsonl");
  again.append({{"update", 3}});
  const std::string text = io_test::read_text(log.path());
  CHECK(io_test::count(text, "\n") == 3);
  CHECK(text.find("\"reward\":null") != std::string::npos);
  CHECK(text.ends_with("{\"update\":3}\n"));
  CHECK(again.removed_bytes() == 0);
}

TEST_CASE("metrics_log: truncation keeps earlier lines byte for byte and the log goes on after it") {
  const io_test::Folder folder;
  const std::string kept = "{\"update\": 1,  \"x\":1.0}\n{\"x\":0.1000,\"update\":2}\n";  // not how we would write them
  io_test::write_text(folder / "m", kept + "{\"update\":3}\n{\"update\":4}\n");
  MetricsLog log(folder / "m");
  log.truncate_after(2);
  CHECK(io_test::read_text(folder / "m") == kept);
  log.append({{"update", 3}});
  CHECK(io_test::read_text(folder / "m") == kept + "{\"update\":3}\n");
  log.truncate_after(7);
  CHECK(io_test::read_text(folder / "m") == kept + "{\"update\":3}\n");
  log.truncate_after(-1);
  CHECK(io_test::read_text(folder / "m").empty());
  CHECK(folder.entries() == 1);
}

TEST_CASE("metrics_log: a torn last line goes away, wherever it was torn; a whole one without newline is completed") {
  const std::string first = "{\"update\":1}\n", second = "{\"update\":2,\"reward\":0.5}\n";
  for (std::size_t length = 0; length <= second.size(); ++length) {
    const io_test::Folder folder;
    io_test::write_text(folder / "m", first + second.substr(0, length));
    MetricsLog log(folder / "m");
    const bool whole = length + 1 >= second.size();
    CHECK(io_test::read_text(folder / "m") == first + (whole ? second : ""));
    CHECK(log.removed_bytes() == (whole ? 0 : length));
    log.append({{"update", 3}});
    CHECK(io_test::read_text(folder / "m") == first + (whole ? second : "") + "{\"update\":3}\n");
  }
}

TEST_CASE("metrics_log: damage before the last line, foreign records and bad places are named errors") {
  const io_test::Folder folder;
  io_test::write_text(folder / "m", "{\"update\":1}\nnonsense\n{\"update\":2}\n");
  CHECK_THROWS_WITH_AS(MetricsLog(folder / "m"), doctest::Contains("in line 2 of"), Error);
  CHECK(io_test::count(io_test::read_text(folder / "m"), "\n") == 3);  // left as it was
  MetricsLog log(folder / "good");
  CHECK_THROWS_AS(log.append({{"reward", 1}}), Error);
  CHECK_THROWS_AS(log.append({{"update", 1.5}}), Error);
  CHECK_THROWS_AS(log.append(nlohmann::json::array({1})), Error);
  CHECK(io_test::read_text(folder / "good").empty());
  CHECK_THROWS_AS(MetricsLog(folder / "missing" / "m"), Error);
  CHECK_THROWS_AS(MetricsLog(folder.path), Error);
  CHECK_THROWS_AS(MetricsLog(folder / "good" / "m"), Error);
  if (folder.make_read_only()) CHECK_THROWS_AS(MetricsLog(folder / "other"), Error);
}
