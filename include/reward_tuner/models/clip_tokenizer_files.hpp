// What a CLIP tokenizer folder holds: vocabulary, merges and the settings that can change ids.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/models/byte_pair_encoding.hpp>

namespace reward_tuner {

/// A token that is found in the text as it stands, never split.
struct ClipSpecialToken {
  std::string text = "<|endoftext|>";  ///< the characters it stands for
  bool normalized = false;  ///< search after normalizing, so that "<|ENDOFTEXT|>" is found too, instead of before
};

/// What a tokenizer folder says beside its vocabulary; defaults as in transformers.
struct ClipTokenizerOptions {
  ClipSpecialToken bos{.text = "<|startoftext|>"};  ///< first token of every sequence
  ClipSpecialToken eos{};                           ///< last token of every sequence
  ClipSpecialToken unk{};                           ///< stands for bytes the vocabulary lacks
  ClipSpecialToken pad{};                           ///< fills short sequences; SD 2 and SDXL's second tokenizer use "!"
  /// tokens in the longest sequence the model takes, if the folder says so
  std::optional<std::int64_t> model_max_length{};
};

/// The parts a tokenizer is made of.
struct ClipTokenizerFiles {
  BytePairEncoding::Vocabulary vocabulary{};  ///< token to id
  BytePairMerges merges{};                    ///< in order of rank
  ClipTokenizerOptions options{};             ///< special tokens and length

  /// Reads vocab.json and merges.txt, or the model inside tokenizer.json where these are absent, and
  /// tokenizer_config.json and special_tokens_map.json where present. Unsupported settings (left padding, extra special
  /// tokens, ...) throw.
  static ClipTokenizerFiles read(const std::filesystem::path& folder);
};

namespace detail {

inline BytePairEncoding::Vocabulary tokenizer_vocabulary(const nlohmann::json& json, const std::string& where) {
  REWARD_TUNER_CHECK(json.is_object(), "[Tokenizer] the vocabulary of ", where,
                     " must be an object of token to id, got ", json.type_name());
  BytePairEncoding::Vocabulary vocabulary;
  for (const auto& [token, id] : json.items()) {
    const bool fits = id.is_number_integer() && id.get<std::int64_t>() >= 0 &&
                      id.get<std::int64_t>() <= std::numeric_limits<std::int32_t>::max();
    REWARD_TUNER_CHECK(fits, "[Tokenizer] the id of \"", token, "\" in ", where,
                       " must be an integer in [0, 2^31), got ", id.dump());
    vocabulary.emplace(token, id.get<std::int64_t>());
  }
  return vocabulary;
}

inline std::pair<std::string, std::string> tokenizer_merge(const std::string& line, const std::string& where) {
  const std::size_t space = line.find(' ');
  REWARD_TUNER_CHECK(space != std::string::npos && line.find(' ', space + 1) == std::string::npos,
                     "[Tokenizer] a merge in ", where, " must be two tokens and one space, got \"", line, "\"");
  return {line.substr(0, space), line.substr(space + 1)};
}

inline BytePairMerges tokenizer_merges(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  REWARD_TUNER_CHECK(file, "[Tokenizer] expected to read ", path.string(), ", got no readable file");
  BytePairMerges merges;
  for (std::string line; std::getline(file, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.starts_with("#version")) merges.push_back(tokenizer_merge(line, path.string()));
  }
  return merges;
}

/// A special token written as a string or as an object with flags. A plain string takes the flags of `known` for the
/// same text.
inline ClipSpecialToken tokenizer_special(const nlohmann::json& value, const std::map<std::string, bool>& known,
                                          const std::string& where) {
  if (value.is_string()) {
    const auto found = known.find(value.get<std::string>());
    return {value.get<std::string>(), found != known.end() && found->second};
  }
  REWARD_TUNER_CHECK(value.is_object() && value.contains("content") && value["content"].is_string(), "[Tokenizer] ",
                     where, " must be a string or an object with a content string, got ", value.dump());
  const auto flag_of = [&](const char* flag) {
    if (!value.contains(flag)) return false;
    REWARD_TUNER_CHECK(value[flag].is_boolean(), "[Tokenizer] ", flag, " of ", where, " must be true or false, got ",
                       value[flag].dump());
    return value[flag].get<bool>();
  };
  for (const char* flag : {"lstrip", "rstrip", "single_word"})
    REWARD_TUNER_CHECK(!flag_of(flag), "[Tokenizer] ", where, " must not set ", flag, ", which is unsupported");
  return {value["content"].get<std::string>(), flag_of("normalized")};
}

/// Reads the settings that can change ids; the rest of tokenizer_config.json concerns decoding, chat and bookkeeping.
inline ClipTokenizerOptions tokenizer_options(const std::filesystem::path& folder) {
  const auto optional_json = [&](const char* name) {
    nlohmann::json json = std::filesystem::exists(folder / name) ? read_json(folder / name) : nlohmann::json::object();
    REWARD_TUNER_CHECK(json.is_object(), "[Tokenizer] ", name, " must be an object, got ", json.type_name());
    return json;
  };
  nlohmann::json config = optional_json("tokenizer_config.json");
  std::map<std::string, bool> known;
  if (config.contains("added_tokens_decoder")) {
    for (const auto& [id, token] : config["added_tokens_decoder"].items()) {
      const auto special = tokenizer_special(token, {}, "added_tokens_decoder[" + id + "]");
      known[special.text] = special.normalized;
    }
  } else {
    const nlohmann::json map = optional_json("special_tokens_map.json");
    config.update(map);
    const nlohmann::json serialized = optional_json("tokenizer.json");
    for (const auto& token : serialized.value("added_tokens", nlohmann::json::array())) {
      const auto special = tokenizer_special(token, {}, "tokenizer.json: added_tokens");
      known[special.text] = special.normalized;
    }
  }
  ClipTokenizerOptions options;
  for (const auto& [name, token] : {std::pair{"bos_token", &options.bos}, std::pair{"eos_token", &options.eos},
                                    std::pair{"unk_token", &options.unk}, std::pair{"pad_token", &options.pad}}) {
    const nlohmann::json value =
        config.contains(name) && !config[name].is_null() ? config[name] : nlohmann::json(token->text);
    *token = tokenizer_special(value, known, name);
  }
  for (const auto& [text, normalized] : known)
    REWARD_TUNER_CHECK(
        text == options.bos.text || text == options.eos.text || text == options.unk.text || text == options.pad.text,
        "[Tokenizer] added tokens must be the start, end, unknown or padding token, got \"", text, "\"");
  for (const char* name : {"additional_special_tokens", "extra_special_tokens", "sep_token", "cls_token", "mask_token"})
    REWARD_TUNER_CHECK(!config.contains(name) || config[name].is_null() || config[name].empty(), "[Tokenizer] ", name,
                       " is unsupported: expected none, got ", config[name].dump());
  for (const char* name : {"padding_side", "truncation_side"})
    REWARD_TUNER_CHECK(config.value(name, nlohmann::json("right")) == "right", "[Tokenizer] ", name,
                       " must be \"right\", got ", config[name].dump());
  for (const char* name : {"add_bos_token", "add_eos_token"})
    REWARD_TUNER_CHECK(config.value(name, nlohmann::json(true)) == true, "[Tokenizer] ", name, " must be true, got ",
                       config[name].dump());
  REWARD_TUNER_CHECK(config.value("split_special_tokens", nlohmann::json(false)) == false,
                     "[Tokenizer] split_special_tokens must be false");
  // A huge number is transformers' way to write "no limit".
  if (const auto length = config.find("model_max_length");
      length != config.end() && length->is_number() && length->get<double>() < 1e9) {
    REWARD_TUNER_CHECK(length->get<double>() >= 2,
                       "[Tokenizer] model_max_length must hold the start and the end token, expected at least 2, got ",
                       length->dump());
    options.model_max_length = length->get<std::int64_t>();
  }
  return options;
}

}  // namespace detail

inline ClipTokenizerFiles ClipTokenizerFiles::read(const std::filesystem::path& folder) {
  ClipTokenizerFiles files{.options = detail::tokenizer_options(folder)};
  if (std::filesystem::exists(folder / "vocab.json") && std::filesystem::exists(folder / "merges.txt")) {
    files.vocabulary = detail::tokenizer_vocabulary(read_json(folder / "vocab.json"), "vocab.json");
    files.merges = detail::tokenizer_merges(folder / "merges.txt");
    return files;
  }
  REWARD_TUNER_CHECK(std::filesystem::exists(folder / "tokenizer.json"),
                     "[Tokenizer] expected vocab.json and merges.txt, or tokenizer.json, in ", folder.string(),
                     ", got neither");
  const nlohmann::json json = read_json(folder / "tokenizer.json");
  const nlohmann::json model = json.is_object() ? json.value("model", nlohmann::json()) : nlohmann::json();
  REWARD_TUNER_CHECK(model.is_object() && model.value("type", nlohmann::json("BPE")) == "BPE" &&
                         model.contains("vocab") && model.contains("merges") && model["merges"].is_array(),
                     "[Tokenizer] tokenizer.json must hold a BPE model with vocab and merges");
  files.vocabulary = detail::tokenizer_vocabulary(model["vocab"], "tokenizer.json");
  for (const auto& merge : model["merges"]) {
    REWARD_TUNER_CHECK(
        merge.is_string() || (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()),
        "[Tokenizer] a merge in tokenizer.json must be a string or two strings, got ", merge.dump());
    files.merges.push_back(merge.is_string() ? detail::tokenizer_merge(merge.get<std::string>(), "tokenizer.json")
                                             : merge.get<BytePairMerges::value_type>());
  }
  return files;
}

}  // namespace reward_tuner
