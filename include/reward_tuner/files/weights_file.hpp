// Finds the weights of a network in its folder, or says what lies there instead and what to do.
#pragma once
#include <filesystem>
#include <string>

namespace reward_tuner {

/// `folder`/`stem`.safetensors, diffusers' and transformers' place for a network's weights.
/// Errors: half-precision variants, shards, pickle files or other names alone, each with what to do.
std::filesystem::path weights_file(const std::filesystem::path& folder, const std::string& stem);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/weights_file.ipp>
#endif
