// JSON files: layout, atomic replacement, named errors.
#include <doctest/doctest.h>

#include <limits>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_file.hpp>

#include <tests/reference/test_folder.hpp>

using namespace reward_tuner;

TEST_CASE("json_file: written with two spaces and a final newline, and read back equal") {
  const io_test::Folder folder;
  const nlohmann::json value = {{"method", "drtune"}, {"seed", 7}, {"after", {{"symmetry_error", 0.125}}}};
  write_json(folder / "report.json", value);
  CHECK(io_test::read_text(folder / "report.json") ==
        "{\n  \"after\": {\n    \"symmetry_error\": 0.125\n  },\n  \"method\": \"drtune\",\n  \"seed\": 7\n}\n");
  CHECK(read_json(folder / "report.json") == value);
  write_json(folder / "report.json", {{"x", std::numeric_limits<double>::infinity()}});
  CHECK(read_json(folder / "report.json").at("x").is_null());
  CHECK(folder.entries() == 1);
}

TEST_CASE("json_file: errors name the file, and a failed write leaves the old file") {
  const io_test::Folder folder;
  write_json(folder / "a.json", 1);
  CHECK_THROWS_WITH_AS(write_json(folder / "a.json", std::string("\xFF")), doctest::Contains("a.json"), Error);
  CHECK(read_json(folder / "a.json") == 1);
  io_test::write_text(folder / "bad.json", "{\"a\": ");
  CHECK_THROWS_WITH_AS(read_json(folder / "bad.json"), doctest::Contains("bad.json"), Error);
  CHECK_THROWS_AS(read_json(folder / "none.json"), Error);
  CHECK_THROWS_AS(read_json(folder.path), Error);
  CHECK_THROWS_AS(write_json(folder / "missing" / "a.json", 1), Error);
  if (folder.make_read_only()) CHECK_THROWS_AS(write_json(folder / "a.json", 2), Error);
}
