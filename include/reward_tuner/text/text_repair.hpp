// What open_clip does to a text before it looks for tokens: repair of wrongly decoded characters, HTML, blanks, case.
#pragma once
#include <string>
#include <string_view>

namespace reward_tuner {

/// A prompt as open_clip's SimpleTokenizer, that of HPS v2, cleans it: `repair_text`, `unescape_html` twice, one space
/// for every run of blanks, none at the ends, lower case (a final sigma included).
/// Errors: malformed UTF-8.
std::string clean_open_clip_text(std::string_view text);

/// ftfy.fix_text(text) of ftfy 6.3: per line, until nothing changes, named characters in lines before the first "<",
/// characters that were UTF-8 and read as a single-byte encoding ("cafÃ©"), ligatures, full and half widths, straight
/// quotes, "\n" for every line break, no terminal colors and control characters, NFC.
std::u32string repair_text(std::u32string_view text);

/// html.unescape(text) of Python: HTML5's character references, also without their semicolon where HTML5 knows them so.
std::u32string unescape_html(std::u32string_view text);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/text/text_repair.ipp>
#endif
