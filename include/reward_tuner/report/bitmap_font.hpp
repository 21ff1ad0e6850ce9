// A small pixel font for image captions: 95 ASCII glyphs, 5 dots wide, 7 dots above the baseline and 2 below, with
// word wrapping.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reward_tuner {

inline constexpr int kGlyphWidth = 5;    ///< dots of a glyph
inline constexpr int kGlyphHeight = 9;   ///< dots of a glyph: 7 above the baseline, 2 for descenders
inline constexpr int kGlyphAdvance = 6;  ///< dots from one glyph to the next
inline constexpr int kLineAdvance = 11;  ///< dots from one line to the next

namespace detail {

// One glyph is 9 rows of 5 bits, top row in the highest bits, leftmost dot the highest bit of its row. Characters 32 to
// 126.
inline constexpr std::array<std::uint64_t, 95> kGlyphs = {
    0x000000000000,
    0x042108401000,
    0x0a5280000000,
    0x0a57d5f52800,
    0x047d1c5f1000,
    0x18c888898c00,
    0x08a511593400,
    0x042200000000,  //   ! " # $ % & '
    // ( ) * + , - . /
    0x022210820800,
    0x082084222000,
    0x00255d520000,
    0x00213e420000,
    0x000000063088,
    0x00003e000000,
    0x000000063000,
    0x010888884000,
    // 0 1 2 3 4 5 6 7
    0x0e8ceb98b800,
    0x046108423800,
    0x0e8844447c00,
    0x0e884c18b800,
    0x0232a5f10800,
    0x1f878218b800,
    0x06443d18b800,
    0x1f0888442000,
    // 8 9 : ; < = > ?
    0x0e8c5d18b800,
    0x0e8c5e113000,
    0x006300c60000,
    0x006300063088,
    0x022220820800,
    0x0007c1f00000,
    0x082082222000,
    0x0e8844401000,
    // @ A B C D E F G
    0x0e8deb783800,
    0x0e8c7f18c400,
    0x1e8c7d18f800,
    0x0e8c2108b800,
    0x1e8c6318f800,
    0x1f843d087c00,
    0x1f843d084000,
    0x0e8c2f18bc00,
    // H I J K L M N O
    0x118c7f18c400,
    0x0e2108423800,
    0x01084218b800,
    0x119531494400,
    0x108421087c00,
    0x11dd6b18c400,
    0x118e6b38c400,
    0x0e8c6318b800,
    // P Q R S T U V W
    0x1e8c7d084000,
    0x0e8c63593400,
    0x1e8c7d494400,
    0x0f841c10f800,
    0x1f2108421000,
    0x118c6318b800,
    0x118c62a51000,
    0x118c6b5dc400,
    // X Y Z [ ] ^ _
    0x118a88a8c400,
    0x118a88421000,
    0x1f0888887c00,
    0x0e4210843800,
    0x108208208400,
    0x0e1084213800,
    0x045440000000,
    0x0000000003e0,
    // ` a b c d e f g
    0x082080000000,
    0x000382f8bc00,
    0x1087a318f800,
    0x0003a308b800,
    0x010be318bc00,
    0x0003a3f83800,
    0x064a38842000,
    0x0003e318bc2e,
    // h i j k l m n o
    0x1087a318c400,
    0x040308423800,
    0x020184210a4c,
    0x1084a98a4800,
    0x0c2108423800,
    0x0006ab5ad400,
    0x0007a318c400,
    0x0003a318b800,
    // p q r s t u v w
    0x0007a318fa10,
    0x0003e318bc21,
    0x0005b3084000,
    0x0003e0e0f800,
    0x084710849800,
    0x00046318bc00,
    0x000463151000,
    0x0004635aa800,
    // x y z { | } ~
    0x000454454400,
    0x00046318bc2e,
    0x0007c4447c00,
    0x022110420800,
    0x042108421000,
    0x082104422000,
    0x00022a200000,
};

}  // namespace detail

/// Whether the dot (column 0..4 from the left, row 0..8 from the top) of `character` is ink. Characters outside 32..126
/// look like '?'.
constexpr bool glyph_dot(char character, int column, int row) {
  const int code = static_cast<unsigned char>(character);
  const std::uint64_t glyph =
      detail::kGlyphs[static_cast<std::size_t>(code >= 32 && code <= 126 ? code - 32 : '?' - 32)];
  return ((glyph >> ((kGlyphHeight - 1 - row) * kGlyphWidth + (kGlyphWidth - 1 - column))) & 1U) != 0;
}

/// Text as the font can show it: control characters become blanks, every UTF-8 character beyond ASCII becomes one '?'.
std::string printable_ascii(std::string_view text);

/// Breaks text into at most `max_lines` lines of at most `max_columns` characters, at blanks where possible. What does
/// not fit is cut, and the last line then ends in "..". Errors: max_columns < 3 or max_lines < 1.
std::vector<std::string> wrap_text(std::string_view text, int max_columns, int max_lines);

/// Width in dots of the longest of `lines`, without the blank column after the last glyph.
int text_width(const std::vector<std::string>& lines);

/// Height in dots of `lines` lines.
constexpr int text_height(int lines) { return lines == 0 ? 0 : (lines - 1) * kLineAdvance + kGlyphHeight; }

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/report/bitmap_font.ipp>
#endif
