// The few Unicode operations that text tokenizers need, on top of utf8proc: NFC, NFD, lower case, and the classes
// letter, number, mark, punctuation, control and white space. Characters younger than the installed utf8proc's Unicode
// version (15.0 in utf8proc 2.8) count as unassigned.
#pragma once
#include <string>
#include <string_view>

namespace reward_tuner::unicode {

/// UTF-8 to code points; throws on malformed UTF-8.
std::u32string decode(std::string_view text);

/// Appends one code point as UTF-8.
void append(std::string& out, char32_t code);

/// Code points to UTF-8.
std::string encode(std::u32string_view text);

/// Normalization form C; throws on malformed UTF-8.
std::string nfc(std::string_view text);

/// Normalization form KC, without the differences of looks; throws on malformed UTF-8.
std::string nfkc(std::string_view text);

/// Normalization form D: letters apart from their accents; throws on malformed UTF-8.
std::string nfd(std::string_view text);

/// Lower case without regard to context or language. U+0130 is the only character whose lower case is longer: i and a
/// combining dot.
std::u32string lower(std::u32string_view text);

/// General category L*.
bool is_letter(char32_t code);

/// Whether it has an upper or a lower case of its own.
bool has_case(char32_t code);

/// General category N*: digits, letter-like numbers, fractions and superscripts.
bool is_number(char32_t code);

/// General category M*: accents, vowel signs and enclosing marks, which belong to the letter before them.
bool is_mark(char32_t code);

/// Category Mn: accents that take no place of their own.
bool is_nonspacing_mark(char32_t code);

/// General category P*.
bool is_punctuation(char32_t code);

/// Categories Cc, Cf and Co: control and format characters and those of private use.
bool is_control(char32_t code);

/// The White_Space property. It is no general category: some control characters have it.
bool is_space(char32_t code);

}  // namespace reward_tuner::unicode

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/text/unicode.ipp>
#endif
