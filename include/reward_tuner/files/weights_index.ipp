// Definitions of weights_index.hpp.
#pragma once
#include <reward_tuner/files/weights_index.hpp>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors_header.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE WeightsIndex parse_weights_index(const nlohmann::json& json, const std::string& where) {
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  REWARD_TUNER_CHECK(map != json.end() && map->is_object() && !map->empty(), "[Weights] ", where,
                     ": expected an object weight_map with the shard of every tensor, got ",
                     map == json.end() ? "none" : detail::json_excerpt(*map));
  WeightsIndex index;
  for (const auto& [tensor, shard] : map->items()) {
    REWARD_TUNER_CHECK(shard.is_string(), "[Weights] ", where, ": expected the shard of ", detail::shortened(tensor),
                       " as a string, got ", detail::json_excerpt(shard));
    const auto& name = shard.get_ref<const std::string&>();
    // a model must not make its reader open files elsewhere
    REWARD_TUNER_CHECK(name.find_first_of(std::string("/\\\0", 3)) == name.npos && name.ends_with(".safetensors"),
                       "[Weights] ", where, ": expected the shard of ", detail::shortened(tensor),
                       " as the name of a safetensors file beside the index, got ", detail::shortened(name));
    index.emplace(tensor, name);
  }
  return index;
}

REWARD_TUNER_INLINE WeightsIndex read_weights_index(const std::filesystem::path& file) {
  return parse_weights_index(read_json(file), file.string());
}

}  // namespace reward_tuner
