"""Write word_piece/ and word_piece_cases.json: what transformers' BertTokenizer makes of varied texts.

usage: make_word_piece_golden.py [OUT_DIR] (default: the folder of this script; run make_tokenizer_golden.py first)

The vocabulary is BERT's in miniature: special tokens, characters with and without ##, words and pieces of the texts.
"ids" are those of the 1,100 texts of tokenizer_cases.json, in their order, without padding, truncated to max_length.
"variants" encode a few texts with other settings: files beside or in place of vocab.txt (null: the file is absent),
"serialized" with the vocabulary in a tokenizer.json, and tokens that a program adds. The seed is fixed.
"""

import json
import os
import random
import shutil
import sys
import tempfile

from transformers import BertTokenizer

MAX_LENGTH = 35
CHARS = (
    "abcdefghijklmnopqrstuvwxyzABCDEIS0123456789!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~"
    "\u00df\u00f8\u00e9\u0131\u0307\u0301\u03b1\u03b2\u03c3\u03c2\u0436\u732b\u72ac\u4e00\u0928\u2019\u201c\u2014"
)
FEW = [
    "",
    "A painting of the red cat",
    "[CLS] cat [SEP] [MASK] [PAD] [UNK] [DEC] [ENC] [dec]",
    "unaffable caf\u00e9s \u00c5ngstr\u00f6m \u0130stanbul STRASSE",
    "don't [MASK]ed<s2>!",
    "\u732b\u72accat\u4e00",
    "a\ufffdb\x00c a\u0301\u200bd e\u00adf",
    " ".join("x" * n for n in (99, 100, 101)),
    "zebra " * 40,
]


def vocabulary(texts):
    rng = random.Random(8)
    words = sorted({w for t in texts for w in t.lower().split() if w.isascii() and w.isalpha() and len(w) > 2})
    words = [w for w in words if rng.random() < 0.6 and len(w) < 12]
    pieces = {"##ing", "##ed", "##s", "un", "##aff", "##able", "...", "x" * 100}
    for w in words:
        cut = rng.randint(1, len(w) - 1)
        pieces |= {w, w[:cut], "##" + w[cut:]}
    pieces |= {c for c in CHARS} | {"##" + c for c in CHARS}
    pieces = sorted(pieces)
    rng.shuffle(pieces)
    return ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + pieces


def variants():
    """Name, files of the folder (vocab.txt is there in all but "serialized"), tokens added by the program."""
    yield "plain", {}, {}
    yield "cased", {"tokenizer_config.json": {"do_lower_case": False}}, {}
    yield "accents", {"tokenizer_config.json": {"do_lower_case": True, "strip_accents": False}}, {}
    yield "cased without accents", {"tokenizer_config.json": {"do_lower_case": False, "strip_accents": True}}, {}
    yield "ideographs", {"tokenizer_config.json": {"tokenize_chinese_chars": False}}, {}
    yield "ImageReward", {}, {"bos_token": "[DEC]", "additional_special_tokens": ["[ENC]"]}
    yield "added", {"added_tokens.json": {"<s2>": None}}, {}
    yield "other roles", {"tokenizer_config.json": {"pad_token": "[unused0]", "cls_token": "[MASK]"}}, {}
    yield "serialized", {"tokenizer_config.json": {"do_lower_case": False}}, {}


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    folder = os.path.join(out, "word_piece")
    with open(os.path.join(out, "tokenizer_cases.json")) as f:
        texts = [text for text, _ in json.load(f)["texts"]]
    tokens = vocabulary(texts)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as f:
        f.write("\n".join(tokens) + "\n")
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
        json.dump(dict(do_lower_case=True, model_max_length=512, tokenizer_class="BertTokenizer"), f)
    t = BertTokenizer.from_pretrained(folder)
    cases = dict(
        max_length=MAX_LENGTH,
        vocab_size=len(t),
        ids=[t(text, truncation=True, max_length=MAX_LENGTH).input_ids for text in texts],
        few=FEW,
        variants=[],
    )
    for name, files, added in variants():
        with tempfile.TemporaryDirectory() as copy:
            if name == "serialized":
                t = BertTokenizer(vocab={w: i for i, w in enumerate(tokens)}, do_lower_case=False)
                t.backend_tokenizer.save(os.path.join(copy, "tokenizer.json"))
                with open(os.path.join(copy, "tokenizer.json"), encoding="utf-8") as f:
                    serialized = json.load(f)
                del serialized["model"]["vocab"]  # that of vocab.txt; the test puts it in
                files["tokenizer.json"] = serialized
            else:
                shutil.copy(os.path.join(folder, "vocab.txt"), copy)
            for file, content in files.items():
                if file == "added_tokens.json":
                    content = files[file] = {k: len(tokens) for k in content}
                if file != "tokenizer.json":
                    with open(os.path.join(copy, file), "w") as f:
                        json.dump(content, f)
            t = BertTokenizer.from_pretrained(copy)
            t.add_special_tokens(added)
            rows = t(FEW, padding="max_length", truncation=True, max_length=MAX_LENGTH)
            given = [added["bos_token"], *added["additional_special_tokens"]] if added else []
            cases["variants"].append(
                dict(
                    name=name,
                    files=files,
                    added=given,
                    ids=rows.input_ids,
                    mask=rows.attention_mask,
                )
            )
    with open(os.path.join(out, "word_piece_cases.json"), "w") as f:
        f.write('{"max_length": %d, "vocab_size": %d, "ids": [\n' % (cases["max_length"], cases["vocab_size"]))
        f.write(",\n".join(json.dumps(row, separators=(",", ":")) for row in cases["ids"]))
        f.write('\n], "few": %s, "variants": [\n' % json.dumps(FEW))
        f.write(",\n".join(json.dumps(v, separators=(",", ":")) for v in cases["variants"]) + "\n]}\n")


if __name__ == "__main__":
    main()
