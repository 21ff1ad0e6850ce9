// Definitions of tokenizer_folder.hpp.
#pragma once
#include <reward_tuner/text/tokenizer_folder.hpp>

#include <array>
#include <charconv>
#include <limits>
#include <set>
#include <system_error>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>

namespace reward_tuner {

namespace detail {

REWARD_TUNER_INLINE std::unordered_map<std::string, std::int64_t> tokenizer_vocabulary(const nlohmann::json& json,
                                                                                       const std::string& where) {
  REWARD_TUNER_CHECK(json.is_object(), "[Tokenizer] the vocabulary of ", where,
                     " must be an object of token to id, got ", json.type_name());
  std::unordered_map<std::string, std::int64_t> vocabulary;
  for (const auto& [token, id] : json.items()) {
    const bool fits = id.is_number_integer() && id.get<std::int64_t>() >= 0 &&
                      id.get<std::int64_t>() <= std::numeric_limits<std::int32_t>::max();
    REWARD_TUNER_CHECK(fits, "[Tokenizer] the id of \"", token, "\" in ", where,
                       " must be an integer in [0, 2^31), got ", id.dump());
    vocabulary.emplace(token, id.get<std::int64_t>());
  }
  return vocabulary;
}

REWARD_TUNER_INLINE const nlohmann::json& tokenizer_model(const nlohmann::json& serialized, const std::string& type,
                                                          const std::string& where) {
  const auto model = serialized.find("model");
  REWARD_TUNER_CHECK(model != serialized.end() && model->is_object() &&
                         model->value("type", nlohmann::json(type)) == type && model->contains("vocab"),
                     "[Tokenizer] ", where, " must hold a ", type, " model with a vocab");
  return *model;
}

REWARD_TUNER_INLINE std::optional<std::filesystem::path> tokenizer_place(const std::filesystem::path& folder,
                                                                         const std::string& vocabulary) {
  if (std::filesystem::exists(folder / vocabulary) || std::filesystem::exists(folder / "tokenizer.json")) return folder;
  if (std::filesystem::exists(folder / "tokenizer")) return folder / "tokenizer";
  return std::nullopt;
}

/// The files of a tokenizer folder that are there, each an object.
inline nlohmann::json tokenizer_object(const std::filesystem::path& file) {
  nlohmann::json json = std::filesystem::exists(file) ? read_json(file) : nlohmann::json::object();
  REWARD_TUNER_CHECK(json.is_object(), "[Tokenizer] ", file.string(), " must be an object, got ", json.type_name());
  return json;
}

/// A special token written as a string or as an object with flags. A plain string takes the flags of `known` for the
/// same text.
inline SpecialToken tokenizer_special(const nlohmann::json& value, const std::map<std::string, bool>& known,
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

/// The id that a file gives a token, as a number or as the text of one.
inline std::int64_t tokenizer_id(const nlohmann::json& value, const std::string& where) {
  const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  std::int64_t id = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  REWARD_TUNER_CHECK(error == std::errc() && end == text.data() + text.size() && id >= 0 &&
                         id <= std::numeric_limits<std::int32_t>::max(),
                     "[Tokenizer] ", where, ": the id of a token must be an integer in [0, 2^31), got ", text);
  return id;
}

/// Names of tokens with a role of their own; transformers gives them ids in this order.
inline constexpr std::array<const char*, 7> kTokenRoles{"bos_token", "eos_token", "unk_token", "sep_token",
                                                        "pad_token", "cls_token", "mask_token"};
/// Lists of special tokens without a role, in transformers 4 and 5.
inline constexpr std::array<const char*, 2> kTokenLists{"additional_special_tokens", "extra_special_tokens"};

/// The tokens that `config` gives roles and lists, in transformers' order, each with its place for errors.
inline std::vector<std::pair<std::string, nlohmann::json>> tokenizer_named(const nlohmann::json& config,
                                                                           const std::filesystem::path& folder) {
  std::vector<std::pair<std::string, nlohmann::json>> out;
  const std::string where = folder.string() + ": ";
  for (const char* role : kTokenRoles)
    if (config.contains(role) && !config[role].is_null()) out.emplace_back(where + role, config[role]);
  for (const char* list : kTokenLists) {
    if (!config.contains(list) || config[list].is_null() || config[list].empty()) continue;
    REWARD_TUNER_CHECK(config[list].is_array(), "[Tokenizer] ", where, list, " must be a list of tokens, got ",
                       config[list].dump());
    for (const auto& token : config[list]) out.emplace_back(where + list, token);
  }
  return out;
}

/// Added tokens by their id, from where transformers looks for them: tokenizer_config.json's added_tokens_decoder, or
/// else added_tokens.json and the added_tokens of `serialized`. `config` then takes special_tokens_map.json in.
inline std::map<std::int64_t, SpecialToken> tokenizer_added(nlohmann::json& config, const nlohmann::json& serialized,
                                                            const std::filesystem::path& folder) {
  std::map<std::int64_t, SpecialToken> added;
  if (config.contains("added_tokens_decoder")) {
    const std::string where = (folder / "tokenizer_config.json").string();
    for (const auto& [id, token] : config["added_tokens_decoder"].items())
      added[tokenizer_id(id, where)] = tokenizer_special(token, {}, where + ": added_tokens_decoder[" + id + "]");
    return added;
  }
  config.update(tokenizer_object(folder / "special_tokens_map.json"));
  std::set<std::string> special;
  for (const auto& [place, token] : tokenizer_named(config, folder))
    special.insert(tokenizer_special(token, {}, place).text);
  const auto old_file = folder / "added_tokens.json", serialized_file = folder / "tokenizer.json";
  const nlohmann::json old = tokenizer_object(old_file);
  for (const auto& [text, id] : old.items())
    added[tokenizer_id(id, old_file.string())] = {text, special.count(text) == 0};
  if (serialized.is_null()) return added;
  for (const auto& token : serialized.value("added_tokens", nlohmann::json::array())) {
    const std::string where = serialized_file.string() + ": added_tokens";
    REWARD_TUNER_CHECK(token.is_object(), "[Tokenizer] ", where, " must hold objects, got ", token.dump());
    SpecialToken read = tokenizer_special(token, {}, where);
    added[tokenizer_id(token.value("id", nlohmann::json()), where)] = std::move(read);
  }
  return added;
}

}  // namespace detail

REWARD_TUNER_INLINE TokenizerFolder TokenizerFolder::read(const std::filesystem::path& folder,
                                                          const std::map<std::string, std::string>& defaults) {
  TokenizerFolder out{.config = detail::tokenizer_object(folder / "tokenizer_config.json")};
  if (std::filesystem::exists(folder / "tokenizer.json"))
    out.serialized = detail::tokenizer_object(folder / "tokenizer.json");
  nlohmann::json& config = out.config;
  const std::string where = folder.string() + ": ";
  std::map<std::string, bool> known;
  for (const auto& [id, token] : detail::tokenizer_added(config, out.serialized, folder)) {
    known[token.text] = token.normalized;
    out.added.push_back(token);
    out.added.back().file_id = id;
  }
  for (const auto& [role, text] : defaults) {
    if (!config.contains(role) || config[role].is_null()) config[role] = text;
    out.roles[role] = detail::tokenizer_special(config[role], known, where + role);
  }
  for (const auto& [place, token] : detail::tokenizer_named(config, folder))
    if (SpecialToken named = detail::tokenizer_special(token, known, place); !known.count(named.text))
      out.added.push_back(std::move(named));
  for (const char* name : {"padding_side", "truncation_side"})
    REWARD_TUNER_CHECK(config.value(name, nlohmann::json("right")) == "right", "[Tokenizer] ", where, name,
                       " must be \"right\", got ", config[name].dump());
  REWARD_TUNER_CHECK(config.value("split_special_tokens", nlohmann::json(false)) == false, "[Tokenizer] ", where,
                     "split_special_tokens must be false");
  // A huge number is transformers' way to write "no limit".
  if (const auto length = config.find("model_max_length");
      length != config.end() && length->is_number() && length->get<double>() < 1e9) {
    REWARD_TUNER_CHECK(length->get<double>() >= 2, "[Tokenizer] ", where,
                       "model_max_length must hold the start and the end token, expected at least 2, got ",
                       length->dump());
    out.model_max_length = length->get<std::int64_t>();
  }
  return out;
}

}  // namespace reward_tuner
