// Definitions of launch.hpp.
#pragma once
#include <reward_tuner/ranks/launch.hpp>

#include <charconv>
#include <cstdlib>
#include <limits>
#include <string_view>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE std::optional<Launch> Launch::from_environment(const Lookup& lookup) {
  const auto get = [&](const char* name) { return lookup ? lookup(name) : std::getenv(name); };
  if (get("RANK") == nullptr && get("WORLD_SIZE") == nullptr) return std::nullopt;
  const auto text = [&](const char* name) {
    const char* value = get(name);
    REWARD_TUNER_CHECK(value != nullptr && *value != '\0', "[Ranks] the environment variable ", name,
                       " is missing: expected RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT, as torchrun "
                       "sets them, or neither RANK nor WORLD_SIZE, got ",
                       get("RANK") != nullptr ? "RANK" : "WORLD_SIZE", " without it");
    return std::string(value);
  };
  const auto number = [&](const char* name, int least, int most) {
    const std::string value = text(name);
    int out = 0;
    const auto end = std::from_chars(value.data(), value.data() + value.size(), out);
    REWARD_TUNER_CHECK(end.ec == std::errc() && end.ptr == value.data() + value.size() && out >= least && out <= most,
                       "[Ranks] the environment variable ", name, " expected a whole number in ", least, "..", most,
                       ", got '", value, "'");
    return out;
  };
  constexpr int kMost = std::numeric_limits<int>::max(), kPorts = 65535;
  Launch out;
  out.size = number("WORLD_SIZE", 1, kMost);
  out.rank = number("RANK", 0, out.size - 1);
  out.local_rank = number("LOCAL_RANK", 0, out.rank);
  out.address = text("MASTER_ADDR");
  out.port = number("MASTER_PORT", 1, kPorts);
  if (get("TORCHELASTIC_RESTART_COUNT") != nullptr) out.restarts = number("TORCHELASTIC_RESTART_COUNT", 0, kMost);
  const char* agent = get("TORCHELASTIC_USE_AGENT_STORE");
  out.agent_listens = agent != nullptr && std::string_view(agent) == "True";
  return out;
}

}  // namespace reward_tuner
