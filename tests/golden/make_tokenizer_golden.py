"""Write tokenizer/ and tokenizer_cases.json: what transformers' CLIPTokenizer makes of 1,100 varied texts.

usage: make_tokenizer_golden.py [OUT_DIR] (default: the folder of this script)

The vocabulary is a real CLIP byte-pair vocabulary in miniature: 512 byte tokens, merges for a few words, two special
tokens. "texts" are encoded with the folder as it is, truncated to max_length. "variants" repeat a few texts with other
tokenizer_config.json and special_tokens_map.json files (null: the file is absent), padded and truncated. "added" does
so for folders with added tokens, in each file that can hold them; "added_tokens" stand in a tokenizer.json that is
there in place of vocab.json and merges.txt. The seed is fixed, so the files are reproducible.
"""

import json
import os
import random
import shutil
import sys
import tempfile

from transformers import CLIPTokenizer

MAX_LENGTH = 77
START, END = "<|startoftext|>", "<|endoftext|>"
WORDS = """a an the photo of cat dog horse monkey rabbit zebra spider bird sheep deer cow red green blue yellow
round square star circle
painting drawing on in next to and with""".split()
ODD = list("'\"!?.,;:-_()[]{}<>|/\\@#$%^&*+=~`") + [
    "'s",
    "'t",
    "'re",
    "'ve",
    "'m",
    "'ll",
    "'d",
    "'S",
    "'LL",
    START,
    END,
    START.upper(),
    END.upper(),
    "<|",
    "|>",
    "endoftext",
    "</w>",
    "\u2019s",
]
SPACE = [
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\v",
    "\f",
    "\x1c",
    "\x1f",
    "\x85",
    "\u00a0",
    "\u1680",
    "\u2003",
    "\u200b",
    "\u2028",
    "\u202f",
    "\u3000",
    "\ufeff",
]
CONTROL = [
    "\x00",
    "\x01",
    "\x07",
    "\x1b",
    "\x7f",
    "\x80",
    "\u00ad",
    "\u200c",
    "\u200d",
    "\u200e",
    "\u202e",
    "\u2060",
    "\ufffd",
    "\ufffe",
    "\ue000",
    "\U000e0061",
    "\U0010ffff",
]
NUMBER = (
    list("0123456789")
    + list("\u00b2\u00b3\u00b9\u00bc\u00bd\u0663\u0966\u0e53\u2160\u216b\u2460\u3007\u4e00\u2189\uff11")
    + ["\U0001d7d8", "\U00010107"]
)
SCRIPTS = {
    "latin": "caf\u00e9 na\u00efve \u00c5ngstr\u00f6m stra\u00dfe STRASSE \u1e9e \u0130stanbul \u0131s\u0131l "
             "\u01c5 \u01c4 \ufb01ne \u0153uvre \u00de\u00f3r \u0141\u00f3d\u017a Ng\u1ef1y\u1ec5n",
    "greek": "\u039f\u03b4\u03c5\u03c3\u03c3\u03b5\u03cd\u03c2 \u03a3\u03a3\u03a3 \u1f08\u03b8\u03ae\u03bd\u03b1 "
             "\u1fb3 \u2126 \u00b5 \u0345",
    "cyrillic": "\u041a\u043e\u0442 \u0401\u0436 \u0439\u043e\u0434 \u04d8 \u0460",
    "hebrew": "\u05d7\u05ea\u05d5\u05dc \u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",
    "arabic": "\u0642\u0637\u0629 \u0645\u064f\u062d\u064e\u0645\u0651\u064e\u062f \u0644\u0627 \ufef5 \u0640",
    "hindi": "\u092c\u093f\u0932\u094d\u0932\u0940 \u0915\u094d\u200d\u0937 \u0928\u092e\u0938\u094d\u0924\u0947",
    "thai": "\u0e41\u0e21\u0e27\u0e19\u0e49\u0e33 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "cjk": "\u732b\u3068\u72ac \u4e00\u53ea\u732b \uace0\uc591\uc774 \u1112\u1161\u11ab \u30cd\u30b3 "
           "\uff76\uff9e \u304b\u3099 \uf900 \u3300",
    "georgian": "\u10d9\u10d0\u10e2\u10d0 \u1c99\u1c90\u10a2",
    "cherokee": "\u13a0\uab70\u13f8",
    "armenian": "\u053f\u0561\u057f\u0578\u0582 \u0587",
    "deseret": "\U00010400\U00010428 \U0001e900\U0001e922",
}
EMOJI = [
    "\U0001f98a",
    "\U0001f1e9\U0001f1ea",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U0001f44d\U0001f3fd",
    "\u2764\ufe0f",
    "\u2603",
    "\U0001fae0",
    "1\ufe0f\u20e3",
]
MARKS = [
    "\u0301",
    "\u0308",
    "\u0327",
    "\u0323",
    "\u030a",
    "\u0345",
    "\u20d7",
    "\u0338",
    "\u0307",
    "\ufe0f",
    "\u093c",
    "\u3099",
]
FIXED = [
    "",
    " ",
    "\n",
    "a",
    "'",
    "''",
    "'s",
    "don't",
    "I'll we've you're he'd it's I'm",
    "DON'T",
    "!'s",
    "1's",
    "x's's",
    "'''s",
    "a" * 300,
    "!" * 200,
    "1234567890" * 10,
    "the cat " * 60,
    "<|endoftext|",
    "<|ENDOFTEXT|>s",
    "<<|endoftext|>>",
    "a<|startoftext|>b<|endoftext|>c",
    START + END,
    " " + END + " ",
    "e\u0301",
    "\u00e9",
    "\u1e69 s\u0323\u0307 s\u0307\u0323",
    "\u0130",
    "I\u0307",
    "\u212b \u2126 \u212a",
    "\u0958 \u0915\u093c",
    "\u0f71\u0f72\u0f74",
    "\u2adc",
    "\ufb1d",
    "\U0001d15e",
    "\uac01 \u1100\u1161\u11a8 \uac00\u11a8",
    "\ud7a3",
    "\u0344 \u0340",
    "\u1fef \u037e \u2000 \u2329",
    "q\u0307\u0323",
    "\u0061\u0315\u0300\u05ae\u0300\u0062",
]


def texts():
    rng = random.Random(20240611)
    out = (
        list(FIXED)
        + [line for line in SCRIPTS.values()]
        + [word for line in SCRIPTS.values() for word in line.split(" ")]
        + EMOJI
    )
    letters = [c for line in SCRIPTS.values() for c in line]

    def piece():
        kind = rng.randrange(12)
        if kind < 3:
            word = rng.choice(WORDS)
            return rng.choice([word, word.upper(), word.title(), word + "s"])
        if kind == 3:
            return rng.choice(ODD)
        if kind == 4:
            return rng.choice(SPACE)
        if kind == 5:
            return rng.choice(NUMBER) * rng.randint(1, 2)
        if kind == 6:
            return rng.choice(EMOJI)
        if kind == 7:
            return rng.choice(rng.choice(list(SCRIPTS.values())).split(" "))
        if kind == 8:
            return rng.choice(letters) + "".join(rng.choice(MARKS) for _ in range(rng.randint(0, 3)))
        if kind == 9:
            return rng.choice(CONTROL) if rng.random() < 0.4 else rng.choice(WORDS) + rng.choice(MARKS)
        if kind == 10:
            return "".join(rng.choice("abcdefghijklmnopqrstuvwxyzABCXYZ") for _ in range(rng.randint(1, 6)))
        return rng.choice(WORDS) + rng.choice(["'s", "'t", "!", ",", "-", "1", "\u00a0"])

    while len(out) < 1100:
        out.append("".join(piece() + rng.choice(["", " ", " "]) for _ in range(rng.randint(1, 6))))
    return out


def byte_characters():
    """The byte to printable character table of GPT-2 and CLIP."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in visible]
    return [chr(b) for b in visible] + [chr(256 + k) for k in range(len(hidden))]


def write_vocabulary(folder):
    vocab = byte_characters()
    vocab += [c + "</w>" for c in vocab]
    merges = []
    for word in WORDS + ["caf", "don", "\u00c3\u00a9"]:
        parts = list(word[:-1]) + [word[-1] + "</w>"]
        while len(parts) > 1:
            pair = tuple(parts[:2])
            if pair not in merges:
                merges.append(pair)
                vocab.append("".join(pair))
            parts = ["".join(pair)] + parts[2:]
    merges += [
        ("a", "a"),
        ("aa", "aa"),
        ("a", "a</w>"),
        ("!", "!"),
        ("o", "f"),
        ("of", "th"),
        ("t", "h"),
        ("\u00f0", "\u0141"),
        ("\u00e0", "\u00a4"),
    ]
    vocab += ["aa", "aaaa", "aa</w>", "!!", "of", "th", "ofth", "\u00f0\u0141", "\u00e0\u00a4"]
    vocab = list(dict.fromkeys(vocab)) + [START, END]
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as f:
        json.dump({token: i for i, token in enumerate(vocab)}, f, ensure_ascii=False)
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in dict.fromkeys(merges)))


def write_settings(folder, config, special):
    for name, value in (("tokenizer_config.json", config), ("special_tokens_map.json", special)):
        path = os.path.join(folder, name)
        if value is not None:
            with open(path, "w") as f:
                json.dump(value, f, indent=1)
        elif os.path.exists(path):
            os.remove(path)


def flagged(text, normalized, **more):
    return dict(content=text, lstrip=False, normalized=normalized, rstrip=False, single_word=False, **more)


def variants(vocab):
    typed = lambda text: flagged(text, True, __type="AddedToken")
    config = lambda pad: dict(
        tokenizer_class="CLIPTokenizer",
        model_max_length=77,
        add_prefix_space=False,
        do_lower_case=True,
        errors="replace",
        bos_token=typed(START),
        eos_token=typed(END),
        unk_token=typed(END),
        pad_token=pad,
    )
    special = lambda pad: dict(
        bos_token=flagged(START, True), eos_token=flagged(END, True), unk_token=flagged(END, True), pad_token=pad
    )
    decoder = {
        str(vocab["!"]): flagged("!", False, special=True),
        str(vocab[START]): flagged(START, True, special=True),
        str(vocab[END]): flagged(END, True, special=True),
    }
    sdxl = dict(
        tokenizer_class="CLIPTokenizer",
        model_max_length=77,
        bos_token=START,
        eos_token=END,
        unk_token=END,
        pad_token="!",
        added_tokens_decoder=decoder,
    )
    yield "none", None, None
    yield "sd1", config(END), special(END)
    yield "sd2", config("!"), special("!")
    yield "sd2_config_only", config("!"), None
    yield "sd2_map_only", None, special("!")
    yield "sdxl", sdxl, special("!")
    yield "pad_plain", dict(model_max_length=77), dict(
        bos_token=flagged(START, True),
        eos_token=flagged(END, True),
        unk_token=flagged(END, True),
        pad_token=flagged(END, False),
    )


def added(vocab):
    """Name, files beside the vocabulary, and the added_tokens of a tokenizer.json in its place."""
    n, map_file, config_file, old = len(vocab), "special_tokens_map.json", "tokenizer_config.json", "added_tokens.json"
    named = dict(bos_token=START, eos_token=END, unk_token=END, pad_token=END)
    decoder = {
        str(vocab[START]): flagged(START, True, special=True),
        str(vocab[END]): flagged(END, True, special=True),
        str(n): flagged("<my-blob>", False, special=False),
        str(n + 1): flagged("<My-Style>", True, special=False),
    }
    serialized = [dict(v, id=int(k)) for k, v in decoder.items()]
    yield "old file", {old: {"<my-blob>": n}, map_file: named}, None
    yield "old file, two tokens against the alphabet", {old: {"<my-blob>": n + 1, "<the-pad>": n},
                                                        map_file: dict(named, pad_token="<the-pad>")}, None
    yield "decoder", {config_file: dict(named, added_tokens_decoder=decoder), old: {"<not-read>": n}}, None
    yield "serialized", {config_file: named}, serialized
    yield "serialized without settings", {}, serialized
    yield "serialized and old file", {old: {"<other>": n + 2}}, serialized
    yield "list of transformers 4", {map_file: dict(named, additional_special_tokens=["<my-blob>", "<s2>"])}, None
    yield "list of transformers 5", {config_file: dict(named, extra_special_tokens=["<my-blob>", "<s2>"])}, None
    yield "list with flags", {map_file: dict(named, extra_special_tokens=[flagged("<my-blob>", True)])}, None
    yield "pad that is new", {config_file: dict(named, pad_token="[PAD]")}, None
    yield "mask and cls that are new", {config_file: dict(named, mask_token="<my-blob>", cls_token="<s2>")}, None
    yield "a gap in the ids", {old: {"<my-blob>": n + 5, "<s2>": n + 9}, map_file: named}, None
    yield "a word of the vocabulary", {old: {"cat": n, "dog</w>": vocab["dog</w>"]}, map_file: named}, None


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    folder = os.path.join(out, "tokenizer")
    write_vocabulary(folder)
    plain = dict(bos_token=START, eos_token=END, unk_token=END, pad_token=END)
    write_settings(
        folder,
        dict(
            tokenizer_class="CLIPTokenizer",
            model_max_length=MAX_LENGTH,
            do_lower_case=True,
            add_prefix_space=False,
            errors="replace",
            **plain,
        ),
        plain,
    )
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    lines = texts()
    cases = dict(
        max_length=MAX_LENGTH,
        vocab_size=tokenizer.vocab_size,
        texts=[[t, i] for t, i in zip(lines, tokenizer(lines, truncation=True, max_length=MAX_LENGTH).input_ids)],
        variants=[],
        added=[],
    )
    few = [
        "a <|ENDOFTEXT|> cat!",
        "a<|endoftext|>!",
        "!a !! cat! !",
        "\u0130<|startoftext|>s <|STARTOFTEXT|>!",
        "don't <|endoftext|",
        "",
        "the cat and the dog on a red square in a photo of a zebra",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        copy = os.path.join(scratch, "t")
        shutil.copytree(folder, copy)
        with open(os.path.join(copy, "vocab.json"), encoding="utf-8") as f:
            vocab = json.load(f)
        for name, config, special in variants(vocab):
            write_settings(copy, config, special)
            t = CLIPTokenizer.from_pretrained(copy)
            cases["variants"].append(
                dict(
                    name=name,
                    tokenizer_config=config,
                    special_tokens_map=special,
                    texts=few,
                    max_length=16,
                    ids=t(few, padding="max_length", truncation=True, max_length=16).input_ids,
                )
            )
        few = [
            "a painting of <my-blob> and a cat",
            "<my-blob>",
            "A <MY-BLOB><my-blob>, <my-style> <My-Style>s",
            "concatenate<my-blob>dog <s2>[PAD]<the-pad>",
        ]
        for name, files, tokens in added(vocab):
            other = os.path.join(scratch, "added")
            os.makedirs(other)
            if tokens is None:
                for file in ("vocab.json", "merges.txt"):
                    shutil.copy(os.path.join(folder, file), other)
            else:
                CLIPTokenizer.from_pretrained(folder).save_pretrained(other)
                os.remove(os.path.join(other, "tokenizer_config.json"))
                with open(os.path.join(other, "tokenizer.json"), encoding="utf-8") as f:
                    serialized = json.load(f)
                with open(os.path.join(other, "tokenizer.json"), "w", encoding="utf-8") as f:
                    json.dump(dict(serialized, added_tokens=tokens), f)
            for file, content in files.items():
                with open(os.path.join(other, file), "w") as f:
                    json.dump(content, f)
            t = CLIPTokenizer.from_pretrained(other)
            ids = t(few, padding="max_length", truncation=True, max_length=16).input_ids
            cases["added"].append(
                dict(name=name, files=files, added_tokens=tokens, texts=few, max_length=16, tokens=len(t), ids=ids)
            )
            shutil.rmtree(other)
    with open(os.path.join(out, "tokenizer_cases.json"), "w") as f:
        f.write('{"max_length": %d, "vocab_size": %d, "texts": [\n' % (cases["max_length"], cases["vocab_size"]))
        f.write(",\n".join(json.dumps(c, separators=(",", ":")) for c in cases["texts"]))
        f.write('\n], "variants": [\n' + ",\n".join(json.dumps(v) for v in cases["variants"]))
        f.write('\n], "added": [\n' + ",\n".join(json.dumps(v) for v in cases["added"]) + "\n]}\n")


if __name__ == "__main__":
    main()
