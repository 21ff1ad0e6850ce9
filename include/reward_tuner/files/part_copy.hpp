// Copies a part of a pipeline's folder so that the copy loads as it is, whatever form its weights had.
#pragma once
#include <filesystem>
#include <set>
#include <string>

namespace reward_tuner {

/// Copies the folder of a part. Of a network's weights only those go along that `find_weights` takes, under their plain
/// names: one file, or its index with the shards. Where it takes none, every file is copied as it is. Weights of other
/// forms that the target had are removed. What is left out is noted.
void copy_part(const std::filesystem::path& from, const std::filesystem::path& to, const std::string& variant);

/// Removes every file of weights but those of the names `kept`: another reader would take them in their place. What is
/// removed is noted. An index goes first, so that a reader of any moment finds one whole network.
void remove_other_weights(const std::filesystem::path& folder, const std::set<std::string>& kept);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/part_copy.ipp>
#endif
