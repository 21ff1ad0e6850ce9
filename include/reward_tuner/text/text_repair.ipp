// Definitions of text_repair.hpp. The rules of wrongly decoded text are those of ftfy 6.3.1 (see NOTICE).
#pragma once
#include <reward_tuner/text/text_repair.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/text/text_tables.ipp>
#include <reward_tuner/text/unicode.hpp>

namespace reward_tuner {

namespace detail {

// ---- HTML

using EntityTable = std::unordered_map<std::string, std::u32string>;

/// "name=code,code name=code ..." as a map.
inline void read_entities(std::string_view list, EntityTable& table) {
  while (!list.empty()) {
    const std::size_t equals = list.find('='), end = list.find(' ');
    std::u32string& characters = table[std::string(list.substr(0, equals))];
    std::string codes(list.substr(equals + 1, end - equals - 1));
    for (std::size_t at = 0; at < codes.size();) {
      std::size_t digits = 0;
      characters.push_back(static_cast<char32_t>(std::stoul(codes.substr(at), &digits, 16)));
      at += digits + 1;
    }
    list.remove_prefix(end + 1);
  }
}

/// HTML5's names.
inline const EntityTable& html_entities() {
  static const EntityTable table = [] {
    EntityTable names;
    read_entities(kHtmlEntities, names);
    return names;
  }();
  return table;
}

/// Those and what ftfy adds, names in capitals.
inline const EntityTable& repaired_entities() {
  static const EntityTable table = [] {
    EntityTable names = html_entities();
    read_entities(kUpperEntities, names);
    return names;
  }();
  return table;
}

inline bool is_digit(char32_t c) { return c >= U'0' && c <= U'9'; }
inline bool is_hex(char32_t c) { return is_digit(c) || (c >= U'a' && c <= U'f') || (c >= U'A' && c <= U'F'); }
inline bool is_plain_letter(char32_t c) { return (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z'); }

/// Windows-1252's character for a byte from 0x80 on; those without one are themselves.
inline char32_t windows_1252(char32_t byte) { return kByteEncodings[0][byte - 0x80]; }

/// What the number of a character reference means.
inline std::u32string numbered_character(std::uint64_t number) {
  if (number == 0) return U"\uFFFD";
  if (number == 0x0D) return U"\r";
  if (number >= 0x80 && number <= 0x9F) return {windows_1252(static_cast<char32_t>(number))};
  if ((number >= 0xD800 && number <= 0xDFFF) || number > 0x10FFFF) return U"\uFFFD";
  const bool nothing = (number >= 1 && number <= 8) || number == 0x0B || (number >= 0x0E && number <= 0x1F) ||
                       number == 0x7F || (number >= 0xFDD0 && number <= 0xFDEF) || (number & 0xFFFE) == 0xFFFE;
  return nothing ? std::u32string() : std::u32string{static_cast<char32_t>(number)};
}

/// The reference that begins at text[at], an ampersand, and its length; nothing if there is none.
inline std::optional<std::pair<std::u32string, std::size_t>> character_reference(std::u32string_view text,
                                                                                 std::size_t at) {
  const auto is = [&](std::size_t i, auto test) { return i < text.size() && test(text[i]); };
  const auto equals = [&](std::size_t i, char32_t c) { return i < text.size() && text[i] == c; };
  if (equals(at + 1, U'#')) {
    const bool hex = (equals(at + 2, U'x') || equals(at + 2, U'X')) && is(at + 3, is_hex);
    std::size_t end = at + (hex ? 3 : 2);
    std::uint64_t number = 0;
    const std::size_t begin = end;
    for (; is(end, hex ? is_hex : is_digit); ++end) {
      const char32_t c = text[end];
      const std::uint64_t digit = is_digit(c) ? c - U'0' : (c | 0x20U) - U'a' + 10;
      number = std::min<std::uint64_t>(number * (hex ? 16 : 10) + digit, 0x110000);  // as good as any larger one
    }
    if (end == begin) return std::nullopt;
    if (equals(end, U';')) ++end;
    return std::pair(numbered_character(number), end - at);
  }
  constexpr std::size_t kLongest = 32;
  std::size_t end = at + 1;
  while (end < text.size() && end - at <= kLongest && std::u32string_view(U"\t\n\f <&#;").find(text[end]) == text.npos)
    ++end;
  if (end == at + 1) return std::nullopt;
  if (equals(end, U';')) ++end;
  const std::u32string_view whole = text.substr(at + 1, end - at - 1);
  for (std::size_t length = whole.size(); length > 1; --length) {  // the longest name
    const auto found = html_entities().find(unicode::encode(whole.substr(0, length)));
    if (found != html_entities().end())
      return std::pair(found->second + std::u32string(whole.substr(length)), end - at);
  }
  return std::pair(std::u32string(text.substr(at, end - at)), end - at);
}

/// ftfy's cautious form: names with their semicolon only.
inline std::u32string repaired_references(std::u32string_view text) {
  constexpr std::size_t kLongest = 24;
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at + 1;
    if (text[at] == U'&') {
      if (end < text.size() && text[end] == U'#') ++end;
      const std::size_t begin = end;
      while (end < text.size() && end - begin < kLongest && (is_digit(text[end]) || is_plain_letter(text[end]))) ++end;
      const bool whole = end > begin && end < text.size() && text[end] == U';';
      if (whole) {
        const std::u32string_view reference = text.substr(at, end + 1 - at);
        const auto found = repaired_entities().find(unicode::encode(reference.substr(1)));
        std::u32string result(reference);
        if (found != repaired_entities().end()) {
          result = found->second;
        } else if (reference[1] == U'#') {
          const std::u32string decoded = unescape_html(reference);
          if (decoded.find(U';') == decoded.npos) result = decoded;
        }
        out += result;
        at = end + 1;
        continue;
      }
    }
    out.push_back(text[at++]);
  }
  return out;
}

// ---- characters by class

/// Classes of characters; the first 19 are those of kMojibakeCharacters.
enum CharacterClass : std::uint32_t {
  kCommon = 1U << 0,
  kC1 = 1U << 1,
  kBad = 1U << 2,
  kLaw = 1U << 3,
  kCurrency = 1U << 4,
  kStart = 1U << 5,
  kEnd = 1U << 6,
  kNumeric = 1U << 7,
  kKaomoji = 1U << 8,
  kUpperAccented = 1U << 9,
  kLowerAccented = 1U << 10,
  kUpperCommon = 1U << 11,
  kLowerCommon = 1U << 12,
  kBox = 1U << 13,
  kFirstOf2 = 1U << 14,
  kFirstOf3 = 1U << 15,
  kFirstOf4 = 1U << 16,
  kContinuation = 1U << 17,
  kStrictContinuation = 1U << 18,
  kAsciiLower = 1U << 19,  // a to z
  kAsciiUpper = 1U << 20,  // A to Z
  kBlank = 1U << 21,
  kWord = 1U << 22,  // letters, numbers and the underscore
};

inline std::uint32_t classes_of(char32_t c) {
  std::uint32_t classes = 0;
  const auto range = std::ranges::upper_bound(kMojibakeCharacters, c, {}, &CharacterRange::first);
  if (range != kMojibakeCharacters.begin() && c <= std::prev(range)->last) classes = std::prev(range)->classes;
  if (c >= U'a' && c <= U'z') classes |= kAsciiLower;
  if (c >= U'A' && c <= U'Z') classes |= kAsciiUpper;
  if (unicode::is_space(c) || (c >= 0x1C && c <= 0x1F)) classes |= kBlank;
  if (c == U'_' || unicode::is_letter(c) || unicode::is_number(c)) classes |= kWord;
  return classes;
}

/// One place of a pattern: a character of the classes or in the list; with `other`, any that is neither.
struct Place {
  std::uint32_t classes = 0;
  std::u32string_view list = U"";
  bool other = false;

  bool fits(char32_t c) const { return other != ((classes_of(c) & classes) != 0 || list.find(c) != list.npos); }
};

/// Neighbors that correct text hardly has and wrongly decoded text does.
inline const std::vector<std::vector<Place>>& mojibake_patterns() {
  constexpr std::uint32_t kAccented = kLowerAccented | kUpperAccented, kQuotes = kStart | kEnd;
  constexpr std::uint32_t kSigns = kBox | kQuotes | kCurrency | kNumeric | kLaw;
  constexpr std::uint32_t kArabic = kCommon | kCurrency | kBad | kNumeric | kStart;
  constexpr std::u32string_view kArabicSigns = U"ŸŠ®°µ»";
  static const std::vector<std::vector<Place>> patterns = {
      {{kC1}},
      {{kBad | kAccented | kSigns}, {kBad}},
      {{kAsciiLower | kAsciiUpper}, {kLowerCommon | kUpperCommon}, {kBad}},
      {{kBad}, {kAccented | kSigns}},
      {{kLowerAccented | kLowerCommon | kBox | kEnd | kCurrency | kNumeric}, {kUpperAccented}},
      {{kBox | kEnd | kCurrency | kNumeric}, {kLowerAccented}},
      {{kLowerAccented | kBox | kEnd}, {kCurrency}},
      {{kBlank}, {kUpperAccented}, {kCurrency}},
      {{kUpperAccented | kBox}, {kNumeric | kLaw}},
      {{kAccented | kBox | kCurrency | kEnd}, {kStart}, {kNumeric}},
      {{kAccented | kCurrency | kNumeric | kBox | kLaw}, {kEnd}, {kStart}},
      {{kCurrency | kNumeric | kBox}, {kStart}},
      {{kAsciiLower}, {kUpperAccented}, {kStart | kCurrency}},
      {{kBox}, {kKaomoji}},
      {{kAccented | kCurrency | kNumeric | kQuotes | kLaw}, {kBox}},
      {{kBox}, {kEnd}},
      {{kAccented}, {kQuotes}, {kWord}},
      {{0, U"Œœ"}, {kAsciiLower | kAsciiUpper, U"", true}},
      {{kUpperAccented}, {0, U"°"}},
      // two characters of UTF-8 as Windows-1252 that the above do not cover
      {{0, U"ÂÃÎÐ"}, {kQuotes, U"€œŠš¢£Ÿž\u00A0\u00AD®©°·»–—´"}},
      {{0, U"×"}, {0, U"²³"}},
      // Arabic: four characters, for two are common
      {{0, U"ØÙ"}, {kArabic, kArabicSigns}, {0, U"ØÙ"}, {kArabic, kArabicSigns}},
      // South Asian alphabets
      {{0, U"à"}, {0, U"²µ¹¼½¾"}},
      // UTF-8 as MacRoman
      {{0, U"√"}, {0, U"±∂†≠®™´≤≥¥µø"}},
      {{0, U"≈"}, {0, U"°¢"}},
      {{0, U"‚"}, {0, U"Ä"}, {0, U"ìîïòôúùû†°¢π"}},
      {{0, U"‚"}, {0, U"âó"}, {0, U"àä°ê"}},
      // UTF-8 as Windows-1251
      {{0, U"в"}, {0, U"Ђ"}},
      {{0, U"ВГРС"}, {kC1 | kBad | kQuotes | kCurrency, U"°µ"}, {0, U"ВГРС"}},
      {{0, U"Г"}, {0, U"ў"}, {0, U"В"}, {0, U"Ђ"}, {0, U"В"}, {0, U"\n", true}, {kAsciiLower | kAsciiUpper, U" "}},
      // à, á and the blank that does not break, as Windows-1252
      {{0, U"Ã"}, {0, U"\u00A0¡"}},
      {{kAsciiLower}, {0, U"ÃÂ"}, {0, U" "}},
      {{kAsciiLower}, {kBlank}, {0, U"ÃÂ"}, {0, U" "}},
      {{kAsciiLower | kEnd, U".,?!"}, {0, U"Â"}, {kQuotes, U" "}},
      // UTF-8 as Windows-1253
      {{0, U"β"}, {0, U"€"}, {0, U"™\u00A0Ά\u00AD®°"}},
      {{0, U"ΒΓΞΟ"}, {kC1 | kBad | kQuotes | kCurrency, U"°"}, {0, U"ΒΓΞΟ"}},
      // UTF-8 as Windows-1257
      {{0, U"ā"}, {0, U"€"}}};
  return patterns;
}

/// Whether something in the text looks wrongly decoded.
inline bool looks_wrong(std::u32string_view text) {
  if (text.size() >= 2 && (text[0] == U'Ã' || text[0] == U'Â') && text[1] == U' ') return true;
  for (std::size_t at = 0; at < text.size(); ++at)
    for (const auto& pattern : mojibake_patterns()) {
      if (text.size() - at < pattern.size()) continue;
      std::size_t place = 0;
      while (place < pattern.size() && pattern[place].fits(text[at + place])) ++place;
      if (place == pattern.size()) return true;
    }
  return false;
}

// ---- bytes

/// One place of a pattern of bytes: pairs of first and last.
using ByteRanges = std::vector<std::pair<unsigned char, unsigned char>>;

inline bool byte_fits(char byte, const ByteRanges& ranges) {
  const auto b = static_cast<unsigned char>(byte);
  return std::ranges::any_of(ranges, [&](const auto& range) { return b >= range.first && b <= range.second; });
}

using BytePattern = std::vector<ByteRanges>;

/// The length of the first pattern that fits at `at`, or 0.
inline std::size_t pattern_length(std::string_view bytes, std::size_t at, const std::vector<BytePattern>& patterns) {
  for (const BytePattern& pattern : patterns) {
    if (bytes.size() - at < pattern.size()) continue;
    std::size_t place = 0;
    while (place < pattern.size() && byte_fits(bytes[at + place], pattern[place])) ++place;
    if (place == pattern.size()) return place;
  }
  return 0;
}

/// `bytes` with every fit of a pattern replaced, from left to right.
template <class Replace>
std::string with_replaced(std::string_view bytes, const std::vector<BytePattern>& patterns, Replace replace) {
  std::string out;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t length = pattern_length(bytes, at, patterns);
    if (length == 0) {
      out.push_back(bytes[at++]);
      continue;
    }
    out += replace(std::string(bytes.substr(at, length)));
    at += length;
  }
  return out;
}

/// UTF-8 whose byte A0 has become a space, where the character is a likely one.
inline const std::vector<BytePattern>& spaced_utf8() {
  static const std::vector<BytePattern> patterns = [] {
    const ByteRanges space{{0x20, 0x20}}, any{{0x80, 0xBF}}, some{{0x80, 0x84}, {0x86, 0x9F}, {0xA1, 0xBF}},
        four{{0xF0, 0xF0}};
    return std::vector<BytePattern>{{{{0xC2, 0xC3}, {0xC5, 0xC5}, {0xCE, 0xCE}, {0xD0, 0xD0}, {0xD9, 0xD9}}, space},
                                    {{{0xE2, 0xE3}}, space, some},
                                    {{{0xE0, 0xE3}}, some, space},
                                    {four, space, any, any},
                                    {four, any, space, any},
                                    {four, any, any, space}};
  }();
  return patterns;
}

/// UTF-8 of which bytes were lost: 1A stands for one that had no character.
inline const std::vector<BytePattern>& lossy_utf8() {
  static const std::vector<BytePattern> patterns = [] {
    const ByteRanges lost{{0x1A, 0x1A}}, asked{{0x1A, 0x1A}, {0x3F, 0x3F}}, rest{{0x1A, 0x1A}, {0x80, 0xBF}},
        all{{0x1A, 0x1A}, {0x3F, 0x3F}, {0x80, 0xBF}}, high{{0xED, 0xED}}, first{{0xA0, 0xAF}}, second{{0xB0, 0xBF}},
        three{{0xE0, 0xEF}}, four{{0xF0, 0xF4}};
    return std::vector<BytePattern>{{{{0xC2, 0xDF}}, lost},
                                    {{{0xC2, 0xC3}}, {{0x3F, 0x3F}}},
                                    {high, first, asked, high, second, all},
                                    {high, first, all, high, second, asked},
                                    {three, asked, rest},
                                    {three, rest, asked},
                                    {four, asked, rest, rest},
                                    {four, rest, asked, rest},
                                    {four, rest, rest, asked},
                                    {lost}};
  }();
  return patterns;
}

/// "Ã " that was "à" before it was a word of its own: C3 20 not followed by a space or the rest of some words.
inline std::string restored_a_grave(std::string_view bytes) {
  std::string out;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::string_view rest = bytes.substr(at);
    bool word = rest.starts_with("\xC3 ");
    for (const std::string_view end : {" ", "quele", "quela", "quilo", "s "})
      word = word && !rest.substr(2).starts_with(end);
    if (word) out += "\xC3\xA0 ";
    else out.push_back(bytes[at]);
    at += word ? 2 : 1;
  }
  return out;
}

/// The characters of UTF-8, with the surrogate pairs and the zero that some programs write; nothing if it is none.
inline std::optional<std::u32string> decoded_utf8(std::string_view bytes) {
  const auto byte = [&](std::size_t i) {
    return i < bytes.size() ? static_cast<char32_t>(static_cast<unsigned char>(bytes[i])) : char32_t{0};
  };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80; };
  std::u32string out;
  for (std::size_t at = 0; at < bytes.size();) {
    const char32_t lead = byte(at);
    if (lead < 0x80) {
      out.push_back(lead);
      ++at;
    } else if (lead == 0xC0 && byte(at + 1) == 0x80) {
      out.push_back(0);
      at += 2;
    } else if (lead == 0xED && (byte(at + 1) & 0xF0U) == 0xA0 && continues(at + 2) && byte(at + 3) == 0xED &&
               (byte(at + 4) & 0xF0U) == 0xB0 && continues(at + 5)) {
      out.push_back(0x10000 + ((byte(at + 1) & 0x0FU) << 16U) + ((byte(at + 2) & 0x3FU) << 10U) +
                    ((byte(at + 4) & 0x0FU) << 6U) + (byte(at + 5) & 0x3FU));
      at += 6;
    } else {
      const std::size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                                 : lead >= 0xE0 && lead <= 0xEF ? 3
                                 : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                                : 0;
      if (length == 0) return std::nullopt;
      char32_t code = lead & (0xFFU >> (length + 1));
      for (std::size_t i = 1; i < length; ++i) {
        if (!continues(at + i)) return std::nullopt;
        code = (code << 6U) | (byte(at + i) & 0x3FU);
      }
      const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
      if (overlong || (code >= 0xD800 && code <= 0xDFFF) || code > 0x10FFFF) return std::nullopt;
      out.push_back(code);
      at += length;
    }
  }
  return out;
}

// ---- encodings

inline constexpr std::size_t kLatin1 = 0, kMacRoman = 8, kEncodings = kByteEncodings.size() + 1;

/// ftfy's "sloppy" encodings: Windows', whose unused bytes stand for themselves, and 1A for what had no character.
inline bool is_sloppy(std::size_t encoding) { return encoding >= 1 && encoding <= 6; }

/// The text in a single-byte encoding, 0 being Latin-1; nothing if a character is not in it.
inline std::optional<std::string> encoded(std::u32string_view text, std::size_t encoding) {
  std::string out;
  for (const char32_t c : text) {
    if (c == 0x1A && is_sloppy(encoding)) return std::nullopt;
    if (c < 0x80 || (encoding == kLatin1 && c <= 0xFF)) {
      out.push_back(static_cast<char>(c));
    } else if (is_sloppy(encoding) && c == 0xFFFD) {
      out.push_back('\x1A');
    } else {
      if (encoding == kLatin1) return std::nullopt;
      const auto& table = kByteEncodings[encoding - 1];
      const auto found = std::ranges::find(table, c);
      if (found == table.end()) return std::nullopt;
      out.push_back(static_cast<char>(0x80 + (found - table.begin())));
    }
  }
  return out;
}

inline std::u32string repaired_encoding(std::u32string text);

/// Pieces of the text that look like UTF-8 by themselves, repaired where they look wrong too.
inline std::u32string repaired_pieces(std::u32string_view text) {
  const auto fits = [&](std::size_t i, std::uint32_t classes) {
    return i < text.size() && (classes_of(text[i]) & classes) != 0;
  };
  const auto sequence = [&](std::size_t at) -> std::size_t {
    const std::array<std::pair<std::uint32_t, std::size_t>, 3> kinds{{{kFirstOf2, 1}, {kFirstOf3, 2}, {kFirstOf4, 3}}};
    for (const auto& [first, count] : kinds) {
      if (!fits(at, first)) continue;
      std::size_t more = 0;
      while (more < count && fits(at + 1 + more, kContinuation)) ++more;
      if (more == count) return 1 + count;
    }
    return 0;
  };
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    if (at == 0 || !fits(at - 1, kStrictContinuation))
      while (const std::size_t length = sequence(end)) end += length;
    if (end == at) {
      out.push_back(text[at++]);
      continue;
    }
    const std::u32string piece(text.substr(at, end - at));
    // a whole text is not its own piece: no end would come
    out += piece.size() < text.size() && looks_wrong(piece) ? repaired_encoding(piece) : piece;
    at = end;
  }
  return out;
}

/// One step of ftfy's repair; the text itself if there is nothing to repair.
inline std::u32string repaired_once(const std::u32string& text) {
  if (std::ranges::all_of(text, [](char32_t c) { return c < 0x80; }) || !looks_wrong(text)) return text;
  for (std::size_t encoding = 0; encoding < kEncodings; ++encoding) {
    std::optional<std::string> bytes = encoded(text, encoding);
    if (!bytes) continue;
    bool spaced = false;
    for (std::size_t at = 0; at < bytes->size() && !spaced; ++at)
      spaced = pattern_length(*bytes, at, spaced_utf8()) > 0;
    if (encoding != kMacRoman && spaced)
      bytes = with_replaced(restored_a_grave(*bytes), spaced_utf8(), [](std::string found) {
        std::ranges::replace(found, ' ', '\xA0');
        return found;
      });
    if (is_sloppy(encoding))
      bytes = with_replaced(*bytes, lossy_utf8(), [](const std::string&) { return "\xEF\xBF\xBD"; });
    if (auto decoded = decoded_utf8(*bytes)) return *decoded;
  }
  if (std::u32string pieces = repaired_pieces(text); pieces != text) return pieces;
  const auto is_c1 = [](char32_t c) { return c >= 0x80 && c <= 0x9F; };
  std::u32string windows = text;  // the control characters of Latin-1, which nobody wants, are those of Windows-1252
  for (char32_t& c : windows)
    if (is_c1(c)) c = windows_1252(c);
  return windows;
}

inline std::u32string repaired_encoding(std::u32string text) {
  for (;;) {
    std::u32string next = repaired_once(text);
    if (next == text) return text;
    text = std::move(next);
  }
}

// ---- single characters

/// Latin ligatures and digraphs, full and half widths, quotes: what one character becomes.
inline void append_plain(char32_t c, std::u32string& out) {
  const auto within = [&](char32_t first, char32_t last) { return c >= first && c <= last; };
  if (within(0x2018, 0x201B) || c == 0x02BC) out.push_back(U'\'');
  else if (within(0x201C, 0x201F)) out.push_back(U'"');
  else if (c == 0x3000) out.push_back(U' ');
  else if (c == 0xFB05) out += U"\u017Ft";
  else if (c == 0x0149) out += U"'n";  // its apostrophe is a quote too
  else if (within(0x0132, 0x0133) || within(0x01C4, 0x01CC) || within(0x01F1, 0x01F3) || within(0xFB00, 0xFB06) ||
           within(0xFF01, 0xFFEF))
    out += unicode::decode(unicode::nfkc(unicode::encode({&c, 1})));
  else out.push_back(c);
}

inline bool is_unwanted_control(char32_t c) {
  return c <= 0x08 || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || (c >= 0x206A && c <= 0x206F) ||
         c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFC);
}

/// The text without "ESC [ numbers letter".
inline std::u32string without_colors(std::u32string_view text) {
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    if (text.substr(at).starts_with(U"\x1B[")) {
      end = at + 2;
      while (end < text.size() && (is_digit(text[end]) || text[end] == U';')) ++end;
      if (end < text.size() && is_plain_letter(text[end])) {
        at = end + 1;
        continue;
      }
    }
    out.push_back(text[at++]);
  }
  return out;
}

/// One line, until nothing changes.
inline std::u32string repaired_line(std::u32string text, bool unescape) {
  for (;;) {
    std::u32string next = repaired_encoding(unescape ? repaired_references(text) : text), plain;
    for (const char32_t c : next) append_plain(c >= 0x80 && c <= 0x9F ? windows_1252(c) : c, plain);
    next.clear();
    for (std::size_t i = 0; i < plain.size(); ++i) {
      const char32_t c = plain[i];
      if (c == U'\r' && i + 1 < plain.size() && plain[i + 1] == U'\n') continue;
      next.push_back(c == U'\r' || c == 0x2028 || c == 0x2029 || c == 0x85 ? U'\n' : c);
    }
    next = without_colors(next);
    std::erase_if(next, is_unwanted_control);
    next = unicode::decode(unicode::nfc(unicode::encode(next)));
    if (next == text) return text;
    text = std::move(next);
  }
}

/// Whether a capital sigma at text[at] ends a word: a letter with case before it, none after it.
inline bool is_final_sigma(std::u32string_view text, std::size_t at) {
  const auto passed = [](char32_t c) {
    return unicode::is_mark(c) ||
           std::u32string_view(U"'.:^`¨\u00AD¯´·¸\u2018\u2019\u2024\u2027\u200B\u200C\u200D").find(c) !=
               std::u32string_view::npos;
  };
  const auto cased = [](char32_t c) { return unicode::is_letter(c) && unicode::has_case(c); };
  std::size_t before = at, after = at + 1;
  while (before > 0 && passed(text[before - 1])) --before;
  while (after < text.size() && passed(text[after])) ++after;
  return before > 0 && cased(text[before - 1]) && !(after < text.size() && cased(text[after]));
}

}  // namespace detail

REWARD_TUNER_INLINE std::u32string unescape_html(std::u32string_view text) {
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto reference = text[at] == U'&' ? detail::character_reference(text, at) : std::nullopt;
    if (reference) out += reference->first;
    else out.push_back(text[at]);
    at += reference ? reference->second : 1;
  }
  return out;
}

REWARD_TUNER_INLINE std::u32string repair_text(std::u32string_view text) {
  std::u32string out;
  bool unescape = true;
  while (!text.empty()) {
    const std::size_t length = std::min(text.find(U'\n'), text.size() - 1) + 1;
    const std::u32string_view line = text.substr(0, length);
    unescape = unescape && line.find(U'<') == line.npos;
    out += detail::repaired_line(std::u32string(line), unescape);
    text.remove_prefix(length);
  }
  return out;
}

REWARD_TUNER_INLINE std::string clean_open_clip_text(std::string_view text) {
  const std::u32string plain = unescape_html(unescape_html(repair_text(unicode::decode(text))));
  std::u32string words;
  for (const char32_t c : plain) {
    // Python also splits at the separators of files, groups, records and units
    if (!unicode::is_space(c) && !(c >= 0x1C && c <= 0x1F)) words.push_back(c);
    else if (!words.empty() && words.back() != U' ') words.push_back(U' ');
  }
  if (!words.empty() && words.back() == U' ') words.pop_back();
  std::u32string lower;
  for (std::size_t i = 0; i < words.size(); ++i)
    lower +=
        words[i] == U'Σ' && detail::is_final_sigma(words, i) ? std::u32string(U"ς") : unicode::lower({&words[i], 1});
  return unicode::encode(lower);
}

}  // namespace reward_tuner
