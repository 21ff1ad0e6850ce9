// torchrun's environment: read whole, and every variable that is missing or nonsense by its name.
#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/ranks/launch.hpp>

namespace {

using namespace reward_tuner;
using Variables = std::map<std::string, std::string>;

const Variables kSecond = {
    {"RANK", "1"}, {"WORLD_SIZE", "3"}, {"LOCAL_RANK", "1"}, {"MASTER_ADDR", "127.0.0.1"}, {"MASTER_PORT", "29500"}};

std::optional<Launch> launched(const Variables& variables) {
  return Launch::from_environment([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

void refused(const char* name, const std::optional<std::string>& value, const std::string& sentence) {
  Variables changed = kSecond;
  if (value) changed[name] = *value;
  else changed.erase(name);
  CAPTURE(name);
  CHECK_THROWS_WITH_AS(launched(changed), sentence.c_str(), Error);
}

}  // namespace

TEST_CASE("a process that torchrun started knows its place; any other is alone") {
  CHECK_FALSE(launched({}));
  CHECK_FALSE(launched({{"MASTER_ADDR", "somewhere"}, {"LOCAL_RANK", "7"}}));
  const auto second = launched(kSecond);
  REQUIRE(second);
  CHECK(second->rank == 1);
  CHECK(second->size == 3);
  CHECK(second->local_rank == 1);
  CHECK(second->address == "127.0.0.1");
  CHECK(second->port == 29500);
  CHECK(second->restarts == 0);
  CHECK_FALSE(second->agent_listens);
  Variables elastic = kSecond;
  elastic["TORCHELASTIC_RESTART_COUNT"] = "2";
  elastic["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  CHECK(launched(elastic)->restarts == 2);
  CHECK(launched(elastic)->agent_listens);
}

TEST_CASE("a variable that is missing or nonsense is named") {
  for (const char* name : {"WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"})
    refused(name, std::nullopt,
            std::string("[Ranks] the environment variable ") + name +
                " is missing: expected RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT, as torchrun sets "
                "them, or neither RANK nor WORLD_SIZE, got RANK without it");
  refused("RANK", std::nullopt,
          "[Ranks] the environment variable RANK is missing: expected RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and "
          "MASTER_PORT, as torchrun sets them, or neither RANK nor WORLD_SIZE, got WORLD_SIZE without it");
  const auto nonsense = [](const char* name, const std::string& value, const std::string& range) {
    refused(name, value,
            std::string("[Ranks] the environment variable ") + name + " expected a whole number in " + range +
                ", got '" + value + "'");
  };
  for (const char* value : {"3", "-1", "one", "1.5", "1 ", "99999999999999999999"}) nonsense("RANK", value, "0..2");
  for (const char* value : {"0", "-2", "many"}) nonsense("WORLD_SIZE", value, "1..2147483647");
  for (const char* value : {"2", "-1", "x"}) nonsense("LOCAL_RANK", value, "0..1");
  for (const char* value : {"0", "65536", "http"}) nonsense("MASTER_PORT", value, "1..65535");
  Variables elastic = kSecond;
  elastic["TORCHELASTIC_RESTART_COUNT"] = "often";
  CHECK_THROWS_AS(launched(elastic), Error);
  refused("MASTER_ADDR", "",
          "[Ranks] the environment variable MASTER_ADDR is missing: expected RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR "
          "and MASTER_PORT, as torchrun sets them, or neither RANK nor WORLD_SIZE, got RANK without it");
}
