// The index of weights that lie in several files: which of them, a shard, holds which tensor.
#pragma once
#include <filesystem>
#include <map>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace reward_tuner {

/// A tensor's name -> the file name of its shard, which lies beside the index.
using WeightsIndex = std::map<std::string, std::string>;

/// Reads the JSON of `*.safetensors.index.json` as diffusers and transformers write it: the object `weight_map`; the
/// metadata beside it are sums of sizes and not used.
/// Errors (with `where`): another form, no tensors, a shard that is not a safetensors file in the index's own folder.
WeightsIndex parse_weights_index(const nlohmann::json& json, const std::string& where);

/// The same of a file.
WeightsIndex read_weights_index(const std::filesystem::path& file);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/weights_index.ipp>
#endif
