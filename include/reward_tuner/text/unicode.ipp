// Definitions of unicode.hpp.
#pragma once
#include <reward_tuner/text/unicode.hpp>

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace unicode {

REWARD_TUNER_INLINE std::u32string decode(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto end = static_cast<utf8proc_ssize_t>(text.size());
  for (utf8proc_ssize_t at = 0; at < end;) {
    utf8proc_int32_t code = -1;
    const utf8proc_ssize_t used = utf8proc_iterate(bytes + at, end - at, &code);
    REWARD_TUNER_CHECK(used > 0, "[Unicode] the text must be valid UTF-8, got a malformed byte at position ", at);
    out.push_back(static_cast<char32_t>(code));
    at += used;
  }
  return out;
}

REWARD_TUNER_INLINE void append(std::string& out, char32_t code) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length));
}

REWARD_TUNER_INLINE std::string encode(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t code : text) append(out, code);
  return out;
}

/// The text in the normalization form that the options name.
inline std::string normalized(std::string_view text, int form) {
  if (text.empty()) return {};
  utf8proc_uint8_t* raw = nullptr;
  const utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &raw, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | form));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(raw, &std::free);
  REWARD_TUNER_CHECK(length >= 0, "[Unicode] the text must be valid UTF-8, got: ", utf8proc_errmsg(length));
  return std::string(reinterpret_cast<const char*>(raw), static_cast<std::size_t>(length));
}

REWARD_TUNER_INLINE std::string nfc(std::string_view text) { return normalized(text, UTF8PROC_COMPOSE); }

REWARD_TUNER_INLINE std::string nfkc(std::string_view text) {
  return normalized(text, UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
}

REWARD_TUNER_INLINE std::string nfd(std::string_view text) { return normalized(text, UTF8PROC_DECOMPOSE); }

REWARD_TUNER_INLINE std::u32string lower(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (const char32_t code : text) {
    if (code == U'\u0130') out += U"i\u0307";
    else out.push_back(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
  }
  return out;
}

REWARD_TUNER_INLINE bool is_letter(char32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

REWARD_TUNER_INLINE bool has_case(char32_t code) {
  const auto c = static_cast<utf8proc_int32_t>(code);
  return utf8proc_tolower(c) != c || utf8proc_toupper(c) != c;
}

REWARD_TUNER_INLINE bool is_number(char32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

REWARD_TUNER_INLINE bool is_mark(char32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME;
}

REWARD_TUNER_INLINE bool is_nonspacing_mark(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code)) == UTF8PROC_CATEGORY_MN;
}

REWARD_TUNER_INLINE bool is_punctuation(char32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

REWARD_TUNER_INLINE bool is_control(char32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CO;
}

REWARD_TUNER_INLINE bool is_space(char32_t code) {
  return (code >= 0x09 && code <= 0x0D) || code == 0x20 || code == 0x85 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
         code == 0x3000;
}

}  // namespace unicode

}  // namespace reward_tuner
