"""Write open_clip_tokenizer_cases.json: 1,000 strings and open_clip's token ids of them.

usage: make_open_clip_tokenizer_golden.py [OUT_DIR] (open_clip_torch 3.3.0, ftfy 6.3.1, regex)

Its tokenizer.py is loaded alone, for the package wants torchvision. Strings: what prompts hold, and what its cleaning
changes: curly quotes, HTML, widths, ligatures, UTF-8 that was read as ten other encodings, once or twice.
"""

import importlib.util
import json
import os
import random
import sys

WORDS = (
    "a photo of the cat dog red BLUE Paris café naïve Straße señor ÉTÉ Ångström İstanbul ΣΊΣΥΦΟΣ ΣΑΣ привет мир "
    "你好 漢字 猫 한국어 สวัสดี नमस्ते مرحبا שלום 1999 3.14 4k 8K f/1.8 85mm don't IT'S we've I'm they'll o'clock"
).split()
PIECES = (
    "“quoted” ‘single’ it’s ‛a‟ ʼn ŉ ﬁne ﬂower ﬃ ﬅ ĳ Ǆ ＦＵＬＬ　ｗｉｄｔｈ ｶﾀｶﾅ ￥５ &amp; &lt;b&gt; &amp;lt; &eacute; &EACUTE; "
    "&notin; &not &copy2024 &#39; &#x27; &#8217; &#128; &#xD800; &#59; &#99999999; &; &unknown; AT&T R&D <b> </i> "
    "<start_of_text> <END_OF_TEXT> !<start_of_text> <|endoftext|> <|startoftext|> \x1b[31mred\x1b[0m a\x00b\x07c "
    "\ufeffbom \u200b \u00ad soft\u00adhyphen … — – • ™ © ® ° ± ½ ² ³ € £ ¥ § ¶ 🙂 👨‍👩‍👧 ❤️ ( : ) \u2028 \u2029 \x85 "
    "\x93smart\x94 \x80 Ã Â à â€™ â€œ â€\x9d Ã© Â£ Ã± ÃƒÂ© âœ” â€¦ â€“ Ð¿Ñ€Ð¸Ð²ÐµÑ‚ ã\x81\x93 l’été "
    "voilÃ  le travail Ã quele "
    "√© ‚Äô Œ œuvre ×² Øª Ù„Ø§ вЂ™ Гў β€™ ā€™ e\u0301 \u212b \u0344 ﷺ Ä\u008d â\ufffd\ufffd â€� ÃÂ "
).split(" ")
ENCODINGS = (
    "latin-1 sloppy-windows-1252 sloppy-windows-1251 sloppy-windows-1250 sloppy-windows-1253 sloppy-windows-1254 "
    "sloppy-windows-1257 iso-8859-2 macroman cp437"
).split()


def garbled(rng, text):
    """UTF-8 read as something else, perhaps with a blank that does not break made a space."""
    for _ in range(rng.choice([1, 1, 1, 2])):
        text = text.encode("utf-8").decode(rng.choice(ENCODINGS), "replace")
    return text.replace("\xa0", " ") if rng.random() < 0.3 else text


def line(rng):
    out = ""
    for _ in range(rng.choice([1, 2, 3, 5, 8])):
        kind = rng.random()
        piece = rng.choice(WORDS) if kind < 0.45 else rng.choice(PIECES)
        if kind > 0.75:
            piece = garbled(rng, " ".join(rng.choice(WORDS + PIECES) for _ in range(rng.randint(1, 3))))
        out += piece + rng.choice([" ", " ", " ", "", "  ", "\t", "\n", "\r\n", "\u3000", "\xa0", ", ", "! "])
    return garbled(rng, out) if rng.random() < 0.15 else out


def main():
    import ftfy.bad_codecs  # noqa: F401  (the sloppy encodings)

    package = importlib.util.find_spec("open_clip").submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location("open_clip_tokenizer", os.path.join(package, "tokenizer.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tokenizer = module.SimpleTokenizer()
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    rng = random.Random(int(os.environ.get("SEED", 5)))
    texts = ["", " ", "a" * 200, "word " * 90, "a < b &amp; c\nd &amp; e", "d &amp; e\na < b &amp; c"]
    texts += [p for p in PIECES if p] + WORDS
    while len(texts) < 1000:
        texts.append(line(rng))
    cases = []
    for text in texts:
        ids = tokenizer(text)[0].tolist()
        cases.append({"text": text, "ids": ids[: max(k for k, n in enumerate(ids) if n) + 1]})
    with open(os.path.join(out, "open_clip_tokenizer_cases.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main()
