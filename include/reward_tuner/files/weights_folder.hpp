// Finds a network's weights in its folder, in one file or in shards with an index, plain or of a variant, or says what
// lies there instead and what to do.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/files/weights_source.hpp>

namespace reward_tuner {

/// The names that a library gives to a network's weights, V being a variant such as fp16: STEM.safetensors and
/// STEM.V.safetensors, or for shards STEM.safetensors.index.json and STEM.safetensors.index.V.json.
struct WeightsNames {
  const char* stem;
  bool index_first;  ///< whether the index wins where it lies beside the one file
};
inline constexpr WeightsNames kDiffusersWeights{"diffusion_pytorch_model", true};
inline constexpr WeightsNames kTransformersWeights{"model", false};

/// Where the weights of a network are.
struct WeightsFiles {
  std::filesystem::path file{};  ///< the one file, or the index
  bool sharded = false;
  std::string variant = "";  ///< empty: the plain files

  /// The file names beside `file` that hold the tensors. Errors: an index that cannot be read.
  std::vector<std::string> shards() const;

  /// Maps the file or every shard.
  /// Errors: a shard that is missing or damaged, a tensor that is not in the shard that the index names, one that two
  /// shards hold.
  WeightsSource open() const;
};

/// The weights in `folder`: of the variant if one is asked for and there, else the plain ones, else of the only variant
/// that there is; a choice that was not asked for is noted. Symbolic links are followed.
/// Errors: none of them, only several variants, and weights of forms that are not read, each with what to do.
WeightsFiles find_weights(const std::filesystem::path& folder, const WeightsNames& names,
                          const std::string& variant = "");

/// Named error unless a part of the pipeline's folder has weights of the variant; an empty one needs none.
void check_variant(const std::filesystem::path& folder, const std::string& variant);

/// Whether a file of this name holds weights of the folder's network, in any form that diffusers, transformers or other
/// programs would read from there, indices included.
bool is_weights_name(const std::string& name);

namespace detail {

/// What `find_weights` takes, or nothing where it has an error.
std::optional<WeightsFiles> chosen_weights(const std::filesystem::path& folder, const WeightsNames& names,
                                           const std::string& variant);

}  // namespace detail

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/weights_folder.ipp>
#endif
