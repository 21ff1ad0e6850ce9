// Definitions of unet_2d_condition_config.hpp.
#pragma once
#include <reward_tuner/models/unet_2d_condition_config.hpp>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

REWARD_TUNER_INLINE std::vector<std::int64_t> per_level(ConfigReader& reader, const nlohmann::json& json,
                                                        const std::string& key, std::int64_t fallback,
                                                        std::size_t levels, const std::string& where) {
  if (!reader.has_value(key)) return std::vector<std::int64_t>(levels, fallback);
  const nlohmann::json& value = json.at(key);
  if (value.is_number_integer()) return std::vector<std::int64_t>(levels, value.get<std::int64_t>());
  bool integers = value.is_array();
  if (integers)
    for (const auto& item : value) integers = integers && item.is_number_integer();
  REWARD_TUNER_CHECK(integers, "[", where, "] unsupported ", key, ": expected an integer or a list of integers, got ",
                     value.dump());
  return value.get<std::vector<std::int64_t>>();
}

REWARD_TUNER_INLINE std::optional<LatentSize> optional_size(ConfigReader& reader, const nlohmann::json& json,
                                                            const std::string& key, const std::string& where) {
  if (!reader.has_value(key)) return std::nullopt;
  const nlohmann::json& value = json.at(key);
  if (value.is_number_integer()) return value.get<std::int64_t>();
  REWARD_TUNER_CHECK(
      value.is_array() && value.size() == 2 && value[0].is_number_integer() && value[1].is_number_integer(), "[", where,
      "] unsupported ", key, ": expected null, an integer or two integers, height and width, got ", value.dump());
  return LatentSize(value[0].get<std::int64_t>(), value[1].get<std::int64_t>());
}

}  // namespace detail

}  // namespace reward_tuner
