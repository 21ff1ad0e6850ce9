// Definitions of weights_file.hpp.
#pragma once
#include <reward_tuner/files/weights_file.hpp>

#include <set>
#include <system_error>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

inline bool is_pickle(const std::string& name) {
  return name.ends_with(".bin") || name.ends_with(".ckpt") || name.ends_with(".pt") || name.ends_with(".pth");
}

/// Why a file is not what is read, and what to do about it; empty if it holds no weights.
inline std::string unread_weights(const std::string& name) {
  const std::string convert = "load the folder in Python and write it by save_pretrained(FOLDER), ";
  if (name.ends_with(".safetensors.index.json") || (name.ends_with(".safetensors") && name.find("-of-") != name.npos))
    return "weights in several files are not read here: " + convert + "with max_shard_size=\"100GB\"";
  if (name.ends_with(".safetensors") && name.find(".fp16.") != name.npos)
    return "variants are not read here: rename the files without \".fp16\"; half precision is widened";
  if (name.ends_with(".safetensors")) return "this name is not read here: rename the file if these are the weights";
  if (is_pickle(name)) return "pickle files are not read, for they can run code: " + convert + "as safetensors";
  if (name.ends_with(".msgpack") || name.ends_with(".h5") || name.ends_with(".onnx"))
    return "only safetensors are read: " + convert + "in PyTorch";
  return "";
}

}  // namespace detail

REWARD_TUNER_INLINE std::filesystem::path weights_file(const std::filesystem::path& folder, const std::string& stem) {
  const std::filesystem::path file = folder / (stem + ".safetensors");
  std::error_code code;
  if (std::filesystem::exists(file, code)) return file;
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder, code))
    names.insert(entry.path().filename().string());
  // the first of the kinds that a reader of the folder would think of
  for (const char* kind : {".safetensors.index.json", ".fp16.safetensors", ".safetensors", ""})
    for (const std::string& name : names)
      if (const std::string why = detail::unread_weights(name); name.ends_with(kind) && !why.empty())
        detail::fail("[Weights] expected ", file.string(), ", got ", name, ": ", why);
  detail::fail("[Weights] expected ", file.string(), ", got ",
               names.empty() ? "an empty or missing folder" : "no file of weights there");
}

}  // namespace reward_tuner
