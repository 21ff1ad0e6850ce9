// Definitions of clip_tokenizer_files.hpp.
#pragma once
#include <reward_tuner/models/clip_tokenizer_files.hpp>

#include <fstream>
#include <map>
#include <limits>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

REWARD_TUNER_INLINE BytePairEncoding::Vocabulary tokenizer_vocabulary(const nlohmann::json& json,
                                                                      const std::string& where) {
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

REWARD_TUNER_INLINE std::pair<std::string, std::string> tokenizer_merge(const std::string& line,
                                                                        const std::string& where) {
  const std::size_t space = line.find(' ');
  REWARD_TUNER_CHECK(space != std::string::npos && line.find(' ', space + 1) == std::string::npos,
                     "[Tokenizer] a merge in ", where, " must be two tokens and one space, got \"", line, "\"");
  return {line.substr(0, space), line.substr(space + 1)};
}

REWARD_TUNER_INLINE BytePairMerges tokenizer_merges(const std::filesystem::path& path) {
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

REWARD_TUNER_INLINE ClipTokenizerOptions tokenizer_options(const std::filesystem::path& folder) {
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

}  // namespace reward_tuner
