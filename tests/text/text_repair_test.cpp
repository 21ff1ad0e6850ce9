// open_clip's cleaning of texts: the ids that its tokenizer gives 1,000 strings, by
// tests/golden/make_open_clip_tokenizer_golden.py, and the steps one by one.
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <torch/types.h>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/text/clip_tokenizer.hpp>
#include <reward_tuner/text/clip_tokenizer_files.hpp>
#include <reward_tuner/text/clip_vocabulary.hpp>
#include <reward_tuner/text/text_repair.hpp>
#include <reward_tuner/text/unicode.hpp>

namespace text_repair_test {
namespace {

using namespace reward_tuner;

std::string repaired(const std::string& text) { return unicode::encode(repair_text(unicode::decode(text))); }
std::string unescaped(const std::string& text) { return unicode::encode(unescape_html(unicode::decode(text))); }

}  // namespace

TEST_CASE("text repair: open_clip's token ids of 1,000 strings") {
  ClipTokenizerFiles files = clip_vocabulary();
  files.options.style = ClipTokenizerStyle::kOpenClip;
  const ClipTokenizer tokenizer(std::move(files));
  const auto cases = read_json(std::filesystem::path(REWARD_TUNER_TEST_DATA) / "open_clip_tokenizer_cases.json");
  REQUIRE(cases.size() == 1000);
  for (const auto& one : cases) {
    const auto text = one.at("text").get<std::string>();
    auto ids = one.at("ids").get<std::vector<std::int64_t>>();
    ids.resize(77, 0);
    const Tensor row = tokenizer({text}, 77)[0];  // [77]
    CHECK_MESSAGE(
        std::vector<std::int64_t>(row.const_data_ptr<std::int64_t>(), row.const_data_ptr<std::int64_t>() + 77) == ids,
        one.dump(), " cleaned: ", clean_open_clip_text(text));
  }
}

TEST_CASE("text repair: HTML's references, with and without their semicolon") {
  CHECK(unescaped("&lt;b&gt; &amp;amp; &notin; &notit; &copy2024") == "<b> &amp; \u2209 \u00ACit; \u00A92024");
  CHECK(unescaped("&#65;&#x42;&#67 &#128; &#xD800; &#0; &#99999999999999999999;") == "ABC \u20AC \uFFFD \uFFFD \uFFFD");
  CHECK(unescaped("& &; &unknown; &#; &#x; AT&T&") == "& &; &unknown; &#; &#x; AT&T&");
  CHECK(unescaped("&#1;&#x7F;&#xFFFF;|") == "|");
}

TEST_CASE("text repair: references are read in lines before the first angle bracket, names with semicolons only") {
  CHECK(repaired("R&amp;D &copy2024 &EACUTE; &#59;") == "R&D &copy2024 \u00C9 &#59;");
  CHECK(repaired("a &amp; b\nc < d &amp; e\nf &amp; g") == "a & b\nc < d &amp; e\nf &amp; g");
}

TEST_CASE("text repair: wrongly decoded text, and correct text that stays") {
  CHECK(repaired("caf\u00C3\u00A9") == "caf\u00E9");
  CHECK(repaired("caf\u00C3\u0192\u00C2\u00A9") == "caf\u00E9");                            // twice
  CHECK(repaired("voil\u00C3 le travail") == "voil\u00E0 le travail");                      // its A0 became a space
  CHECK(repaired("\u00E2\u20AC\u0153like this\u00E2\u20AC\uFFFD") == "\"like this\uFFFD");  // a byte was lost
  CHECK(repaired("all \u00E2\u20AC\u201C well \u4F60\u597D") == "all \u2013 well \u4F60\u597D");  // a piece
  CHECK(repaired("\u0093smart\u0094") == "\"smart\"");
  for (const char* fine : {"caf\u00E9 na\u00EFve \u00C5ngstr\u00F6m", "\u043F\u0440\u0438\u0432\u0435\u0442",
                           "5 \u20AC, \u00BD \u00B0C", "\u4F60\u597D \u0645\u0631\u062D\u0628\u0627"})
    CHECK(repaired(fine) == fine);
}

TEST_CASE("text repair: ligatures, widths, quotes, line breaks, controls") {
  CHECK(repaired("\uFB01ne \uFB05 \u0149 \u01C4 \u0132") == "fine \u017Ft 'n D\u017D IJ");
  CHECK(repaired("\uFF26\uFF35\uFF2C\uFF2C\u3000\uFF76\uFF80") == "FULL \u30AB\u30BF");
  CHECK(repaired("\u201Ca\u201D \u2018b\u2019") == "\"a\" 'b'");
  CHECK(repaired("a\r\nb\rc\u2028d") == "a\nb\nc\nd");
  CHECK(repaired("\x1B[1;31mred\x1B[0m b\x07l\uFEFF") == "red bl");
  CHECK(repaired("e\u0301") == "\u00E9");
}

TEST_CASE("text repair: cleaned for the tokenizer") {
  CHECK(clean_open_clip_text("  A\t Photo\u3000of\n\u201CCATS\u201D &amp;amp; &lt;dogs&gt; ") ==
        "a photo of \"cats\" & <dogs>");
  CHECK(clean_open_clip_text("\u03A3\u0391\u03A3 \u03A3. \u0130") == "\u03C3\u03B1\u03C2 \u03C3. i\u0307");
  CHECK(clean_open_clip_text("").empty());
  CHECK_THROWS_AS(clean_open_clip_text("\xFF"), Error);
}

}  // namespace text_repair_test
