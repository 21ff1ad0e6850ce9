// Definitions of weights_folder.hpp.
#pragma once
#include <reward_tuner/files/weights_folder.hpp>

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <map>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/files/folder.hpp>
#include <reward_tuner/files/weights_index.hpp>

namespace reward_tuner {

namespace detail {

/// The text between two others, or nothing; it has no dots, as a variant has none.
inline std::optional<std::string> between(std::string_view text, std::string_view begin, std::string_view end) {
  if (text.size() <= begin.size() + end.size() || !text.starts_with(begin) || !text.ends_with(end)) return {};
  text = text.substr(begin.size(), text.size() - begin.size() - end.size());
  if (text.find('.') != text.npos || text.find("-of-") != text.npos) return {};
  return std::string(text);
}

/// The weights that a file of this name is or indexes.
inline std::optional<WeightsFiles> weights_of_name(const std::string& name, const std::string& stem) {
  if (name == stem + ".safetensors") return WeightsFiles{name, false, ""};
  if (name == stem + ".safetensors.index.json") return WeightsFiles{name, true, ""};
  if (const auto variant = between(name, stem + ".", ".safetensors")) return WeightsFiles{name, false, *variant};
  // the second is what diffusers wrote before it took transformers' names
  for (const auto& [begin, end] : {std::pair(".safetensors.index.", ".json"), {".safetensors.", ".index.json"}})
    if (const auto variant = between(name, stem + begin, end)) return WeightsFiles{name, true, *variant};
  return {};
}

/// The weights of every variant in the folder; the plain ones are those of the variant "".
inline std::map<std::string, WeightsFiles> weights_by_variant(const std::filesystem::path& folder,
                                                              const WeightsNames& names) {
  std::map<std::string, WeightsFiles> found;
  for (const std::string& name : names_in(folder)) {
    auto weights = weights_of_name(name, names.stem);
    if (!weights) continue;
    const auto [before, is_new] = found.emplace(weights->variant, *weights);
    if (!is_new && weights->sharded == names.index_first) before->second = std::move(*weights);
  }
  for (auto& [variant, weights] : found) weights.file = folder / weights.file;
  return found;
}

inline std::string variant_list(const std::map<std::string, WeightsFiles>& found) {
  std::string text;
  for (const auto& [variant, weights] : found) text += (text.empty() ? "" : ", ") + variant;
  return text;
}

inline bool has_ending(const std::string& name, std::initializer_list<const char*> endings) {
  return std::any_of(endings.begin(), endings.end(), [&](const char* ending) { return name.ends_with(ending); });
}

/// Why a file is not what is read, and what to do about it; empty if it holds no weights.
inline std::string unread_weights(const std::string& name) {
  const std::string convert = "load the folder in Python and write it by save_pretrained(FOLDER)";
  if (name.ends_with(".safetensors"))
    return name.find("-of-") != name.npos ? "a shard is only read by the index of its weights, which is missing"
                                          : "this name is not read here: rename the file if these are the weights";
  if (has_ending(name, {".bin", ".bin.index.json", ".ckpt", ".pt", ".pth"}))
    return "pickle files are not read, for they can run code: " + convert + ", as safetensors";
  if (has_ending(name, {".msgpack", ".h5", ".onnx"})) return "only safetensors are read: " + convert + ", in PyTorch";
  return "";
}

REWARD_TUNER_INLINE std::optional<WeightsFiles> chosen_weights(const std::filesystem::path& folder,
                                                               const WeightsNames& names, const std::string& variant) {
  const auto found = weights_by_variant(folder, names);
  for (const std::string& wanted : {variant, std::string()})
    if (const auto weights = found.find(wanted); weights != found.end()) return weights->second;
  if (!variant.empty() || found.size() != 1) return {};
  return found.begin()->second;
}

/// Ends with the named error for a folder in which nothing is chosen.
[[noreturn]] inline void no_weights(const std::filesystem::path& folder, const WeightsNames& names,
                                    const std::string& variant) {
  const std::string wanted =
      (folder / names.stem).string() + (variant.empty() ? "" : "." + variant) + ".safetensors or its index";
  if (const auto found = weights_by_variant(folder, names); !found.empty())
    fail("[Weights] expected ", wanted, ", got the variants ", variant_list(found),
         variant.empty() ? ": choose one" : " alone");
  const auto files = names_in(folder);
  // the first of the kinds that a reader of the folder would think of
  for (const char* kind : {".safetensors", ""})
    for (const std::string& name : files)
      if (const std::string why = unread_weights(name); name.ends_with(kind) && !why.empty())
        fail("[Weights] expected ", wanted, ", got ", name, ": ", why);
  fail("[Weights] expected ", wanted, ", got ",
       files.empty() ? "an empty or missing folder" : "no file of weights there");
}

/// Named error unless the file is there; a link may lead nowhere.
inline void check_there(const std::filesystem::path& file, const std::string& what) {
  std::error_code code;
  if (std::filesystem::is_regular_file(file, code)) return;
  if (std::filesystem::is_symlink(file, code))
    fail("[Weights] expected ", what, " at ", file.string(), ", got a link to ",
         std::filesystem::read_symlink(file, code).string(), ", where there is no file: was a download cut off?");
  fail("[Weights] expected ", what, " at ", file.string(), ", got no such file");
}

}  // namespace detail

REWARD_TUNER_INLINE std::vector<std::string> WeightsFiles::shards() const {
  if (!sharded) return {file.filename().string()};
  std::set<std::string> names;
  for (const auto& [tensor, shard] : read_weights_index(file)) names.insert(shard);
  return {names.begin(), names.end()};
}

REWARD_TUNER_INLINE WeightsSource WeightsFiles::open() const {
  detail::check_there(file, "weights");
  if (!sharded) return SafetensorsFile::open(file);
  const std::string where = "'" + file.string() + "'";
  const WeightsIndex index = read_weights_index(file);
  WeightsSource source(where);
  std::map<std::string, SafetensorsFile> opened;
  for (const auto& [tensor, shard] : index) {
    if (!opened.contains(shard)) {
      const auto path = file.parent_path() / shard;
      detail::check_there(path, "the shard that " + where + " names");
      source.add(opened.emplace(shard, SafetensorsFile::open(path)).first->second);
    }
    REWARD_TUNER_CHECK(opened.at(shard).contains(tensor), "[Weights] ", where, ": expected ", detail::shortened(tensor),
                       " in the shard ", shard, ", got none there");
  }
  return source;
}

REWARD_TUNER_INLINE WeightsFiles find_weights(const std::filesystem::path& folder, const WeightsNames& names,
                                              const std::string& variant) {
  const auto weights = detail::chosen_weights(folder, names, variant);
  if (!weights) detail::no_weights(folder, names, variant);
  if (variant.empty() && !weights->variant.empty())
    note("[Weights] ", folder.string(), " has weights of the variant ", weights->variant, " alone: they are read");
  else if (weights->variant != variant)
    note("[Weights] ", folder.string(), " has no weights of the variant ", variant, ": the plain ones are read");
  return *weights;
}

REWARD_TUNER_INLINE void check_variant(const std::filesystem::path& folder, const std::string& variant) {
  if (variant.empty()) return;
  std::map<std::string, WeightsFiles> found;
  for (const std::string& part : names_in(folder))
    for (const WeightsNames& names : {kDiffusersWeights, kTransformersWeights})
      found.merge(detail::weights_by_variant(folder / part, names));
  found.erase("");
  REWARD_TUNER_CHECK(found.contains(variant), "[Weights] ", folder.string(), ": expected weights of the variant ",
                     variant, " in some part, got ",
                     found.empty() ? "plain ones alone" : "the variants " + detail::variant_list(found));
}

REWARD_TUNER_INLINE bool is_weights_name(const std::string& name) {
  constexpr const char* kStems[] = {
      "diffusion_pytorch_model", "diffusion_flax_model", "pytorch_model", "flax_model", "tf_model", "model"};
  const auto of_stem = [&](const std::string& stem) {
    return name.starts_with(stem) && name.find_first_of(".-", stem.size()) == stem.size();
  };
  const bool is_index = name.ends_with(".json") && name.find(".index.") != name.npos;
  return std::any_of(std::begin(kStems), std::end(kStems), of_stem) &&
         (is_index ||
          detail::has_ending(name, {".safetensors", ".bin", ".ckpt", ".pt", ".pth", ".msgpack", ".h5", ".onnx"}));
}

}  // namespace reward_tuner
