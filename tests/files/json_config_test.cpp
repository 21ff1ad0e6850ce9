// ConfigReader: types, fallbacks, unsupported values, and no key unnoticed.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>

using namespace reward_tuner;

namespace json_config_test {
namespace {

ConfigReader reader_of(const std::string& text) { return ConfigReader(parse_json(text, "text"), "m/config.json"); }

}  // namespace

TEST_CASE("json_config: values of every type") {
  auto reader = reader_of(
      R"({"b":true,"i":-3,"u":4294967296,"d":0.5,"one":1,"s":"x","list":[1,2],"nested":[[1],[]],"object":{"k":1}})");
  CHECK(reader.required<bool>("b"));
  CHECK(reader.required<int>("i") == -3);
  CHECK(reader.required<std::int64_t>("u") == 4294967296);
  CHECK(reader.required<double>("d") == 0.5);
  CHECK(reader.required<double>("one") == 1.0);
  CHECK(reader.required<std::string>("s") == "x");
  CHECK(reader.required<std::vector<std::int64_t>>("list") == std::vector<std::int64_t>{1, 2});
  CHECK(reader.required<std::vector<std::vector<int>>>("nested") == std::vector<std::vector<int>>{{1}, {}});
  CHECK(reader.required<nlohmann::json>("object").dump() == R"({"k":1})");
  reader.finish();
}

TEST_CASE("json_config: nothing is converted silently; errors say file, key, got and expected") {
  auto reader = reader_of(R"({"b":1,"i":1.5,"neg":-1,"big":3000000000,"d":true,"s":3,"list":[1,"2"],"null":null})");
  CHECK_THROWS_WITH_AS(reader.required<bool>("b"),
                       "[Config] m/config.json: the key 'b' must be a boolean, got number 1", Error);
  CHECK_THROWS_WITH_AS(reader.required<int>("i"), doctest::Contains("must be an integer in range, got number 1.5"),
                       Error);
  CHECK_THROWS_AS(reader.required<std::size_t>("neg"), Error);
  CHECK_THROWS_AS(reader.required<int>("big"), Error);
  CHECK_THROWS_AS(reader.required<double>("d"), Error);
  CHECK_THROWS_AS(reader.optional<std::string>("s", "fallback"), Error);
  CHECK_THROWS_WITH_AS(reader.required<std::vector<int>>("list"), doctest::Contains("a list, each item an integer"),
                       Error);
  CHECK_THROWS_WITH_AS(reader.required<int>("null"), doctest::Contains("missing or null"), Error);
  CHECK_THROWS_WITH_AS(reader.required<int>("absent"), doctest::Contains("'absent' is missing"), Error);
}

TEST_CASE("json_config: optional takes the fallback for absent and null") {
  auto reader = reader_of(R"({"null":null,"x":2})");
  CHECK(reader.optional<int>("absent", 5) == 5);
  CHECK(reader.optional<int>("null", 6) == 6);
  CHECK(reader.optional<int>("x", 7) == 2);
  CHECK_FALSE(reader.has_value("null"));
  CHECK_FALSE(reader.has_value("absent"));
  CHECK(reader.has_value("x"));
}

TEST_CASE("json_config: finish names what nobody asked for") {
  auto reader = reader_of(R"({"known":1,"ignored":2,"_class_name":"X","surprise":3,"other":null})");
  CHECK(reader.required<int>("known") == 1);
  reader.ignore({"ignored", "never there"});
  CHECK_THROWS_WITH_AS(reader.finish(), doctest::Contains("unknown keys 'other', 'surprise'"), Error);
  CHECK_FALSE(reader.has_value("other"));
  CHECK(reader.has_value("surprise"));
  reader.finish();
}

TEST_CASE("json_config: expect accepts absent, null and the one value") {
  auto reader = reader_of(R"({"act_fn":"silu","null":null,"flip":true,"n":1})");
  reader.expect("act_fn", "silu", "only this one");
  reader.expect("null", false, "why");
  reader.expect("absent", 3, "why");
  reader.expect("n", 1.0, "numbers compare by value");
  CHECK_THROWS_WITH_AS(
      reader.expect("flip", false, "sines come first here"),
      "[Config] m/config.json: unsupported 'flip': found boolean true, expected boolean false (sines come first here)",
      Error);
  reader.finish();
}

TEST_CASE("json_config: broken texts and files") {
  CHECK_THROWS_WITH_AS(reader_of("[1]"), doctest::Contains("expected an object, got array"), Error);
  CHECK_THROWS_WITH_AS(parse_json("{\"a\":1", "t"), doctest::Contains("[Json] t: "), Error);
  CHECK_THROWS_WITH_AS(parse_json("{\"a\":1,\"b\":{\"a\":1},\"a\":2}", "t"), doctest::Contains("'a' appears twice"),
                       Error);
  CHECK_NOTHROW(parse_json("{\"a\":1,\"b\":{\"a\":1},\"c\":[{\"a\":1},{\"a\":2}]}", "t"));
  CHECK_THROWS_WITH_AS(parse_json(std::string("{}\0x", 4), "t"), doctest::Contains("zero byte"), Error);
  CHECK_THROWS_WITH_AS(parse_json(std::string(100000, '['), "t"), doctest::Contains("deeper than 100"), Error);
  CHECK_THROWS_WITH_AS(parse_json("\"\xFF\"", "t"), doctest::Contains("[Json] t: "), Error);
  const auto path =
      std::filesystem::temp_directory_path() / ("reward_tuner_config_" + std::to_string(::getpid()) + ".json");
  CHECK_THROWS_WITH_AS(ConfigReader::from_file(path), doctest::Contains("got nothing at"), Error);
  std::ofstream(path) << R"({"width":8})";
  auto reader = ConfigReader::from_file(path);
  CHECK(reader.required<int>("width") == 8);
  CHECK(reader.where() == path.string());
  std::filesystem::remove(path);
}

TEST_CASE("json_config: a file may begin with a byte order mark, and every error names the file") {
  const auto path =
      std::filesystem::temp_directory_path() / ("reward_tuner_mark_" + std::to_string(::getpid()) + ".json");
  const auto write = [&](const std::string& text) { std::ofstream(path, std::ios::binary) << text; };
  write("\xEF\xBB\xBF{\"width\":8,\r\n\"low\":-Infinity}\r\n");
  CHECK(read_json(path).at("width") == 8);
  CHECK(read_json(path).at("low") == "-Infinity");
  CHECK(parse_json("\xEF\xBB\xBF[1]", "t") == nlohmann::json::array({1}));
  for (const char* broken : {"{\"a\":1", "", "\xEF\xBB\xBF", "{\"a\":1,\"a\":2}", "\xFF\xFE{"}) {
    write(broken);
    CHECK_THROWS_WITH_AS(read_json(path), doctest::Contains(path.filename().string().c_str()), Error);
  }
  write("[1]");
  CHECK_THROWS_WITH_AS(ConfigReader::from_file(path), doctest::Contains(path.filename().string().c_str()), Error);
  std::filesystem::remove(path);
}

TEST_CASE("json_config: Python's bare NaN and infinities in files are strings, and text inside strings is left alone") {
  const auto path =
      std::filesystem::temp_directory_path() / ("reward_tuner_bare_" + std::to_string(::getpid()) + ".json");
  std::ofstream(path) << R"({"low":-Infinity,"high":Infinity,"list":[NaN,1],"text":"NaN \" Infinity","Infinity":2})";
  auto reader = ConfigReader::from_file(path);
  std::filesystem::remove(path);
  CHECK(reader.required<std::string>("low") == "-Infinity");
  CHECK(reader.required<std::string>("high") == "Infinity");
  CHECK(reader.required<nlohmann::json>("list").dump() == R"(["NaN",1])");
  CHECK(reader.required<std::string>("text") == "NaN \" Infinity");
  CHECK(reader.required<int>("Infinity") == 2);
  CHECK_THROWS_WITH_AS(reader.required<double>("low"), doctest::Contains("must be a number, got string"), Error);
  reader.finish();
}

}  // namespace json_config_test
