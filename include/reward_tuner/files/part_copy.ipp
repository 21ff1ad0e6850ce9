// Definitions of part_copy.hpp.
#pragma once
#include <reward_tuner/files/part_copy.hpp>

#include <algorithm>
#include <optional>
#include <vector>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/files/folder.hpp>
#include <reward_tuner/files/weights_folder.hpp>

namespace reward_tuner {

namespace detail {

/// The names of the folder's files of weights, indices first.
inline std::vector<std::string> weights_in(const std::filesystem::path& folder) {
  std::vector<std::string> names = names_in(folder);
  std::erase_if(names, [](const std::string& name) { return !is_weights_name(name); });
  std::stable_partition(names.begin(), names.end(), [](const std::string& name) { return name.ends_with(".json"); });
  return names;
}

inline std::string name_list(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace detail

REWARD_TUNER_INLINE void copy_part(const std::filesystem::path& from, const std::filesystem::path& to,
                                   const std::string& variant) {
  namespace fs = std::filesystem;
  constexpr auto kOverwrite = fs::copy_options::recursive | fs::copy_options::overwrite_existing;
  std::optional<WeightsFiles> weights;
  std::string plain;
  for (const WeightsNames& names : {kDiffusersWeights, kTransformersWeights})
    if (const auto found = detail::chosen_weights(from, names, variant); found && !weights) {
      weights = found;
      plain = names.stem + std::string(weights->sharded ? ".safetensors.index.json" : ".safetensors");
    }
  std::set<std::string> copied;
  const auto copy = [&](const fs::path& source, const std::string& name) {
    if (fs::is_symlink(to / name)) fs::remove(to / name);  // what it leads to is not this folder's
    fs::copy(source, to / name, kOverwrite);
    copied.insert(name);
  };
  make_folder(to);
  if (weights) {
    if (weights->sharded)
      for (const std::string& shard : weights->shards()) copy(from / shard, shard);
    copy(weights->file, plain);
  }
  std::vector<std::string> left_out;
  for (const std::string& name : names_in(from)) {
    if (!weights || !is_weights_name(name)) copy(from / name, name);
    else if (!copied.contains(name) && from / name != weights->file) left_out.push_back(name);
  }
  remove_other_weights(to, copied);
  if (!left_out.empty())
    note("[Weights] ", to.string(), " has the weights that were read; not copied: ", detail::name_list(left_out));
}

REWARD_TUNER_INLINE void remove_other_weights(const std::filesystem::path& folder, const std::set<std::string>& kept) {
  std::vector<std::string> removed;
  for (const std::string& name : detail::weights_in(folder))
    if (!kept.contains(name) && std::filesystem::remove(folder / name)) removed.push_back(name);
  if (!removed.empty())
    note("[Weights] ", folder.string(),
         ": removed what would be read in place of the new weights: ", detail::name_list(removed));
}

}  // namespace reward_tuner
