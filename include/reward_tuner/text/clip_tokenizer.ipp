// Definitions of clip_tokenizer.hpp.
#pragma once
#include <reward_tuner/text/clip_tokenizer.hpp>

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <array>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/text/text_repair.hpp>
#include <reward_tuner/text/unicode.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE ClipTokenizer::ClipTokenizer(ClipTokenizerFiles files)
    : options_(std::move(files.options)),
      bpe_(std::move(files.vocabulary), files.merges, options_.unk.text),
      special_(static_cast<std::int64_t>(bpe_.size())) {
  for (const SpecialToken& token : options_.added) special_.add(token, bpe_.id(token.text));
  for (const auto* token : {&options_.bos, &options_.eos, &options_.unk, &options_.pad})
    special_.add(*token, bpe_.id(token->text));
  bos_ = special_.id(options_.bos.text);
  eos_ = special_.id(options_.eos.text);
  pad_ = options_.style == ClipTokenizerStyle::kOpenClip ? 0 : special_.id(options_.pad.text);
  before_ = special_.literals(false);
  after_ = special_.literals(true);
  for (auto& literal : after_) literal.text = unicode::encode(normalize(literal.text));
}

REWARD_TUNER_INLINE ClipTokenizer ClipTokenizer::load(const std::filesystem::path& folder) {
  return ClipTokenizer(ClipTokenizerFiles::read(folder));
}

REWARD_TUNER_INLINE std::vector<WordTokens> ClipTokenizer::words(std::string_view text, std::int64_t max_length) const {
  check_length(max_length);
  std::vector<WordTokens> out;
  for (const WordTokens& word : tokenize(text).words)
    if (const std::int64_t room = max_length - 1 - word.first; room > 0)
      out.push_back({word.first, std::min(word.count, room)});
  return out;
}

REWARD_TUNER_INLINE std::string ClipTokenizer::lost_text(std::string_view text, std::int64_t max_length) const {
  check_length(max_length);
  const std::vector<std::int64_t> ids = encode(text);
  std::string out;
  std::vector<std::int64_t> plain;  // ids since the last added token, which the vocabulary need not spell
  const auto spell = [&] {
    out += bpe_.spelled(plain);
    plain.clear();
  };
  for (std::size_t i = static_cast<std::size_t>(max_length) - 1; i + 1 < ids.size(); ++i) {
    const std::string* added = special_.text(ids[i]);
    if (!added) {
      plain.push_back(ids[i]);
      continue;
    }
    spell();
    out += *added + ' ';
  }
  spell();
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

REWARD_TUNER_INLINE Tensor ClipTokenizer::operator()(const std::vector<std::string>& texts,
                                                     std::int64_t max_length) const {
  check_length(max_length);
  const auto length = static_cast<std::size_t>(max_length);
  std::vector<std::int64_t> rows;
  rows.reserve(texts.size() * length);
  for (const std::string& text : texts) {
    std::vector<std::int64_t> ids = encode(text);
    if (ids.size() > length) {
      ids.resize(length);
      ids.back() = eos_;
    }
    ids.resize(length, pad_);
    rows.insert(rows.end(), ids.begin(), ids.end());
  }
  return at::tensor(rows, at::kLong).view({static_cast<std::int64_t>(texts.size()), max_length});  // [B,L]
}

REWARD_TUNER_INLINE void ClipTokenizer::check_length(std::int64_t max_length) {
  REWARD_TUNER_CHECK(max_length >= 2,
                     "[Tokenizer] max_length must hold the start and the end token, expected at least 2, got ",
                     max_length);
}

REWARD_TUNER_INLINE ClipTokenizer::Tokens ClipTokenizer::tokenize(std::string_view text) const {
  Tokens out{{bos_}, {}};
  if (options_.style == ClipTokenizerStyle::kOpenClip) {
    append_words(unicode::decode(clean_open_clip_text(text)), out);
    out.ids.push_back(eos_);
    return out;
  }
  SpecialTokens::split(text, before_, out.ids, [&](std::string_view part) {
    const std::string normal = unicode::encode(normalize(part));
    SpecialTokens::split(normal, after_, out.ids,
                         [&](std::string_view piece) { append_words(unicode::decode(piece), out); });
  });
  out.ids.push_back(eos_);
  return out;
}

REWARD_TUNER_INLINE std::u32string ClipTokenizer::normalize(std::string_view text) {
  std::u32string out;
  for (const char32_t code : unicode::decode(unicode::nfc(text))) {
    if (!unicode::is_space(code)) out.push_back(code);
    else if (out.empty() || out.back() != U' ') out.push_back(U' ');
  }
  return unicode::lower(out);
}

REWARD_TUNER_INLINE std::size_t ClipTokenizer::word_length(std::u32string_view text) {
  static constexpr std::array<std::u32string_view, 7> kContractions{U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"};
  for (const auto contraction : kContractions)
    if (text.starts_with(contraction)) return contraction.size();
  if (unicode::is_number(text[0])) return 1;
  const bool letters = unicode::is_letter(text[0]);
  std::size_t end = 1;
  while (end < text.size() && unicode::is_letter(text[end]) == letters && !unicode::is_number(text[end]) &&
         !unicode::is_space(text[end]))
    ++end;
  return end;
}

REWARD_TUNER_INLINE bool ClipTokenizer::is_spoken(std::u32string_view piece) {
  return std::ranges::any_of(piece, [](char32_t c) { return unicode::is_letter(c) || unicode::is_number(c); });
}

REWARD_TUNER_INLINE bool ClipTokenizer::is_accent(std::u32string_view piece) {
  return std::ranges::all_of(piece, [](char32_t c) { return unicode::is_mark(c) || c == U'\u200C' || c == U'\u200D'; });
}

REWARD_TUNER_INLINE void ClipTokenizer::append_words(std::u32string_view text, Tokens& out) const {
  // A special token's text that only lower-casing has made is a unit of its own, then "<|", its letters and "|>": the
  // next word starts anew.
  static constexpr std::array<std::u32string_view, 2> kLowered{U"<|startoftext|>", U"<|endoftext|>"},
      kOpenClip{U"<start_of_text>", U"<end_of_text>"};
  const bool open_clip = options_.style == ClipTokenizerStyle::kOpenClip;
  const auto& marks = open_clip ? kOpenClip : kLowered;
  const auto here = [&] { return static_cast<std::int64_t>(out.ids.size()); };
  std::int64_t first = here();  // of the run of pieces that may become a word
  bool spoken = false;
  const auto end_run = [&](std::int64_t end) {
    if (spoken) out.words.push_back({first, end - first});
    first = here();
    spoken = false;
  };
  while (!text.empty()) {
    if (unicode::is_space(text[0])) {
      end_run(here());
      text.remove_prefix(1);
      continue;
    }
    const auto mark =
        std::find_if(marks.begin(), marks.end(), [&](std::u32string_view m) { return text.starts_with(m); });
    std::u32string_view unit = text.substr(0, mark == marks.end() ? word_length(text) : mark->size());
    text.remove_prefix(unit.size());
    if (open_clip && mark != marks.end()) {
      const std::int64_t end = here();
      out.ids.push_back(mark == marks.begin() ? bos_ : eos_);
      end_run(end);
      continue;
    }
    while (!unit.empty()) {
      const std::u32string_view piece = unit.substr(0, word_length(unit));
      unit.remove_prefix(piece.size());
      const std::int64_t start = here();
      bpe_.encode(unicode::encode(piece), out.ids);
      if (is_spoken(piece)) spoken = true;
      else if (!is_accent(piece)) end_run(start);
    }
  }
  end_run(here());
}

}  // namespace reward_tuner
