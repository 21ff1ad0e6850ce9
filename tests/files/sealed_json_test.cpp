// Files that know their checksum: what was written comes back, and anything else is refused by name.
#include <doctest/doctest.h>

#include <cstddef>
#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/checksum.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/files/sealed_json.hpp>

#include <tests/reference/test_folder.hpp>

TEST_CASE("checksum: other bytes, another length and another order are others") {
  using reward_tuner::checksum;
  std::set<std::string> sums;
  for (std::size_t length = 0; length < 40; ++length) sums.insert(checksum(std::string(length, '\0')));
  CHECK(sums.size() == 40);
  std::string text = "the quick brown fox jumps";
  sums = {checksum(text)};
  for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    sums.insert(checksum(flipped));
  }
  CHECK(sums.size() == 8 * text.size() + 1);
  CHECK(checksum("0123456789abcdef") != checksum("89abcdef01234567"));
  CHECK(checksum("").size() == 16);
  CHECK(checksum("reward") == checksum("reward", 6));
}

TEST_CASE("sealed JSON: comes back as it was, is JSON, and a change of any byte is named") {
  using namespace reward_tuner;
  const io_test::Folder folder;
  const auto file = folder / "state.json";
  const nlohmann::json object{{"number", 0.1}, {"text", "a\nb \xC3\xA9"}, {"list", {1, nullptr}}};
  write_sealed_json(file, object);
  nlohmann::json back = read_sealed_json(file);
  CHECK(back == read_json(file));
  back.erase("checksum");
  CHECK(back == object);
  const std::string text = io_test::read_text(file);
  const auto refused = [&](const std::string& other, const char* sentence = "state.json' is damaged") {
    io_test::write_text(file, other);
    CHECK_THROWS_WITH_AS(read_sealed_json(file), doctest::Contains(sentence), Error);
  };
  refused(text + " ");
  refused(text.substr(0, text.size() - 1));
  const char* unsealed = "state.json' is not sealed: written by an earlier version, or damaged";
  for (const std::string& other :
       {std::string(), std::string("{\"number\": 0.1}"), object.dump(2), text.substr(text.find('\n') + 1)})
    refused(other, unsealed);
  CHECK_THROWS_WITH_AS(read_sealed_json(folder / "absent.json"), doctest::Contains("absent.json"), Error);
  CHECK_THROWS_WITH_AS(write_sealed_json(file, nlohmann::json::object()), doctest::Contains("expected an object"),
                       Error);
  CHECK_THROWS_WITH_AS(write_sealed_json(file, {{"text", "\xFF"}}), doctest::Contains("UTF-8"), Error);
}
