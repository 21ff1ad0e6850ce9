// Definitions of word_piece.hpp.
#pragma once
#include <reward_tuner/text/word_piece.hpp>

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/text_file.hpp>
#include <reward_tuner/text/tokenizer_folder.hpp>
#include <reward_tuner/text/unicode.hpp>

namespace reward_tuner {

namespace detail {

/// A word of more characters is unknown as a whole, as in BERT.
inline constexpr std::size_t kLongestWord = 100;

/// A switch of a tokenizer's folder; null and absent are `fallback`.
template <class Switch>
Switch word_piece_switch(const nlohmann::json& config, const char* name, Switch fallback, const std::string& where) {
  if (!config.contains(name) || config[name].is_null()) return fallback;
  REWARD_TUNER_CHECK(config[name].is_boolean(), "[WordPiece] ", where, ": ", name, " must be true or false, got ",
                     config[name].dump());
  return config[name].get<bool>();
}

/// The vocabulary of a tokenizer.json. transformers takes nothing else of it, so the rest must say what BertTokenizer
/// does anyway.
inline std::unordered_map<std::string, std::int64_t> serialized_word_pieces(const nlohmann::json& json,
                                                                            const std::string& where,
                                                                            const WordPieceOptions& o) {
  const nlohmann::json& model = tokenizer_model(json, "WordPiece", where);
  const auto expect = [&](const nlohmann::json& part, const char* key, const nlohmann::json& wanted) {
    REWARD_TUNER_CHECK(!part.contains(key) || part[key] == wanted, "[WordPiece] ", where, ": expected ", key, " to be ",
                       wanted.dump(), ", as BertTokenizer reads this folder, got ", part[key].dump());
  };
  expect(model, "continuing_subword_prefix", "##");
  expect(model, "max_input_chars_per_word", kLongestWord);
  expect(model, "unk_token", o.unknown.text);
  if (const nlohmann::json rules = json.value("normalizer", nlohmann::json()); rules.is_object()) {
    expect(rules, "type", "BertNormalizer");
    expect(rules, "clean_text", true);
    expect(rules, "handle_chinese_chars", o.split_ideographs);
    expect(rules, "lowercase", o.lower_case);
    expect(rules, "strip_accents", o.strip_accents ? nlohmann::json(*o.strip_accents) : nlohmann::json());
  }
  return tokenizer_vocabulary(model["vocab"], where);
}

/// The blocks of CJK ideographs that BERT knows.
inline bool is_ideograph(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x2F800 && c <= 0x2FA1F);
}

/// Punctuation to BERT: that of Unicode and every other visible ASCII character that is no letter or digit.
inline bool is_bert_punctuation(char32_t c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~') ||
         unicode::is_punctuation(c);
}

}  // namespace detail

REWARD_TUNER_INLINE WordPieceFiles WordPieceFiles::read(const std::filesystem::path& folder) {
  WordPieceFiles files;
  WordPieceOptions& o = files.options;
  TokenizerFolder said = TokenizerFolder::read(folder, {{"cls_token", o.start.text},
                                                        {"sep_token", o.end.text},
                                                        {"unk_token", o.unknown.text},
                                                        {"pad_token", o.pad.text},
                                                        {"mask_token", "[MASK]"}});
  o.start = said.roles.at("cls_token");
  o.end = said.roles.at("sep_token");
  o.unknown = said.roles.at("unk_token");
  o.pad = said.roles.at("pad_token");
  o.added = std::move(said.added);
  o.model_max_length = said.model_max_length;
  const std::string where = folder.string();
  o.lower_case = detail::word_piece_switch(said.config, "do_lower_case", o.lower_case, where);
  o.strip_accents = detail::word_piece_switch(said.config, "strip_accents", o.strip_accents, where);
  o.split_ideographs = detail::word_piece_switch(said.config, "tokenize_chinese_chars", o.split_ideographs, where);
  if (!said.serialized.is_null()) {
    files.vocabulary = detail::serialized_word_pieces(said.serialized, (folder / "tokenizer.json").string(), o);
    return files;
  }
  const auto lines = folder / "vocab.txt";
  REWARD_TUNER_CHECK(std::filesystem::exists(lines), "[WordPiece] expected vocab.txt or tokenizer.json in ", where,
                     ", got neither");
  TextLines reader(lines);
  std::int64_t id = 0;
  for (std::string token; reader.next(token);) files.vocabulary.insert_or_assign(token, id++);
  return files;
}

REWARD_TUNER_INLINE WordPieceTokenizer::WordPieceTokenizer(WordPieceFiles files)
    : options_(std::move(files.options)),
      vocabulary_(std::move(files.vocabulary)),
      special_(static_cast<std::int64_t>(vocabulary_.size())) {
  REWARD_TUNER_CHECK(vocabulary_.count(options_.unknown.text), "[WordPiece] expected the token ", options_.unknown.text,
                     " in the vocabulary, got ", vocabulary_.size(), " others");
  for (const SpecialToken& token : options_.added) special_.add(token, id(token.text));
  for (const auto* token : {&options_.unknown, &options_.end, &options_.pad, &options_.start})
    special_.add(*token, id(token->text));
  before_ = special_.literals(false);
  after_ = special_.literals(true);
  for (auto& literal : after_) literal.text = unicode::encode(normalize(literal.text));
  for (const auto& [token, id] : vocabulary_) vocab_size_ = std::max(vocab_size_, id + 1);
  for (const auto* literals : {&before_, &after_})
    for (const auto& literal : *literals) vocab_size_ = std::max(vocab_size_, literal.id + 1);
}

REWARD_TUNER_INLINE WordPieceTokenizer WordPieceTokenizer::load(const std::filesystem::path& folder) {
  return WordPieceTokenizer(WordPieceFiles::read(folder));
}

REWARD_TUNER_INLINE std::vector<std::int64_t> WordPieceTokenizer::encode(std::string_view text) const {
  std::vector<std::int64_t> ids{start_id()};
  SpecialTokens::split(text, before_, ids, [&](std::string_view part) {
    const std::string normal = unicode::encode(normalize(part));
    SpecialTokens::split(normal, after_, ids,
                         [&](std::string_view piece) { append_words(unicode::decode(piece), ids); });
  });
  ids.push_back(end_id());
  return ids;
}

REWARD_TUNER_INLINE WordPieceRows WordPieceTokenizer::operator()(const std::vector<std::string>& texts,
                                                                 std::int64_t max_length) const {
  REWARD_TUNER_CHECK(max_length >= 2,
                     "[WordPiece] max_length must hold the start and the end token, expected at least 2, got ",
                     max_length);
  const auto length = static_cast<std::size_t>(max_length);
  std::vector<std::int64_t> rows, mask;
  for (const std::string& text : texts) {
    std::vector<std::int64_t> ids = encode(text);
    if (ids.size() > length) {
      ids.resize(length);
      ids.back() = end_id();
    }
    mask.resize(mask.size() + ids.size(), 1);
    ids.resize(length, pad_id());
    rows.insert(rows.end(), ids.begin(), ids.end());
    mask.resize(rows.size(), 0);
  }
  const std::int64_t batch = static_cast<std::int64_t>(texts.size());
  return {at::tensor(rows, at::kLong).view({batch, max_length}),   // [B,L]
          at::tensor(mask, at::kLong).view({batch, max_length})};  // [B,L]
}

REWARD_TUNER_INLINE std::u32string WordPieceTokenizer::normalize(std::string_view text) const {
  std::u32string out;
  for (const char32_t c : unicode::decode(text)) {
    if (c == U'\t' || c == U'\n' || c == U'\r') out.push_back(U' ');
    else if (c == 0 || c == 0xFFFD || unicode::is_control(c)) continue;
    else if (unicode::is_space(c)) out.push_back(U' ');
    else if (options_.split_ideographs && detail::is_ideograph(c)) out.append({U' ', c, U' '});
    else out.push_back(c);
  }
  if (options_.strip_accents.value_or(options_.lower_case)) {
    out = unicode::decode(unicode::nfd(unicode::encode(out)));
    std::erase_if(out, unicode::is_nonspacing_mark);
  }
  return options_.lower_case ? unicode::lower(out) : out;
}

REWARD_TUNER_INLINE void WordPieceTokenizer::append_words(std::u32string_view text,
                                                          std::vector<std::int64_t>& ids) const {
  std::size_t start = 0;
  const auto end_word = [&](std::size_t end) {
    if (end > start) append_pieces(text.substr(start, end - start), ids);
    start = end;
  };
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (unicode::is_space(text[at])) {
      end_word(at);
      start = at + 1;
    } else if (detail::is_bert_punctuation(text[at])) {
      end_word(at);
      end_word(at + 1);
    }
  }
  end_word(text.size());
}

REWARD_TUNER_INLINE void WordPieceTokenizer::append_pieces(std::u32string_view word,
                                                           std::vector<std::int64_t>& ids) const {
  const std::size_t before = ids.size();
  std::size_t start = 0;
  while (start < word.size() && word.size() <= detail::kLongestWord) {
    std::size_t end = word.size();
    std::optional<std::int64_t> found;
    for (; end > start && !found; --end)
      found = id((start > 0 ? "##" : "") + unicode::encode(word.substr(start, end - start)));
    if (!found) break;
    ids.push_back(*found);
    start = end + 1;
  }
  if (start == word.size()) return;
  ids.resize(before);
  ids.push_back(vocabulary_.at(options_.unknown.text));
}

REWARD_TUNER_INLINE std::optional<std::int64_t> WordPieceTokenizer::id(const std::string& token) const {
  const auto found = vocabulary_.find(token);
  return found == vocabulary_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace reward_tuner
