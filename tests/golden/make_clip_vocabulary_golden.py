"""Write clip_vocabulary_cases.json: what transformers' CLIPTokenizer with CLIP's real vocabulary makes of 1,000 texts.

usage: make_clip_vocabulary_golden.py bpe_simple_vocab_16e6.txt.gz [OUT_DIR] (default: the folder of this script)

The tokenizer folder is made as published beside Stable Diffusion 1 (pad: the end token) and 2 (pad: "!"). Texts are
those of make_tokenizer_golden.py, and words from all over the vocabulary in any case, glued and punctuated; "ids" and
"ids_2" are untruncated, of the two pads, and "ids_2" has only the texts whose ids differ. The seed is fixed.
"""

import gzip
import json
import os
import random
import sys
import tempfile

from transformers import CLIPTokenizer

import make_tokenizer_golden

END = "<|endoftext|>"


def folder(path, archive, pad):
    with gzip.open(archive) as f:
        lines = f.read().decode("utf-8").split("\n")
    merges = lines[1 : 49152 - 256 - 2 + 1]
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    characters = [chr(b) for b in visible] + [chr(256 + n) for n in range(256 - len(visible))]
    tokens = characters + [c + "</w>" for c in characters] + ["".join(m.split()) for m in merges]
    tokens += ["<|startoftext|>", END]
    with open(os.path.join(path, "vocab.json"), "w") as f:
        json.dump({t: i for i, t in enumerate(tokens)}, f)
    with open(os.path.join(path, "merges.txt"), "w") as f:
        f.write("\n".join(["#version: 0.2"] + merges) + "\n")
    flags = dict(lstrip=False, normalized=True, rstrip=False, single_word=False)
    special = dict(bos_token=dict(flags, content="<|startoftext|>"), eos_token=dict(flags, content=END), pad_token=pad,
                   unk_token=dict(flags, content=END))
    with open(os.path.join(path, "special_tokens_map.json"), "w") as f:
        json.dump(special, f)
    with open(os.path.join(path, "tokenizer_config.json"), "w") as f:
        json.dump(dict(tokenizer_class="CLIPTokenizer", model_max_length=77, pad_token=pad), f)
    return tokens


def main():
    archive = sys.argv[1]
    out = sys.argv[2] if len(sys.argv) > 2 else os.path.dirname(os.path.abspath(__file__))
    rng = random.Random(20261127)
    tokenizers = []
    for pad in (END, "!"):
        with tempfile.TemporaryDirectory() as path:
            tokens = folder(path, archive, pad)
            tokenizers.append(CLIPTokenizer.from_pretrained(path))
    words = [t[:-4] for t in tokens[512:-2] if t.endswith("</w>") and t[:-4].isascii()]
    foreign = [w for t in tokens[:-2] for w in [bytes_of(t)] if w and not w.isascii()]
    texts = make_tokenizer_golden.texts()[:400]
    while len(texts) < 1000:
        text = ""
        for _ in range(rng.randint(1, 8)):
            word = rng.choice(foreign) if rng.random() < 0.1 else rng.choice(words)
            word = rng.choice([word, word, word.upper(), word.title()])
            text += word + rng.choice([" ", " ", " ", "  ", ", ", "", "-", "'s ", "! ", "!! ", "\n", "?", "123 "])
        texts.append(text)
    ids = [tokenizers[0](t).input_ids for t in texts]
    ids_2 = {str(n): i for n, t in enumerate(texts) for i in [tokenizers[1](t).input_ids] if i != ids[n]}
    assert len(ids_2) > 50
    with open(os.path.join(out, "clip_vocabulary_cases.json"), "w") as f:
        json.dump(dict(texts=texts, ids=ids, ids_2=ids_2), f, separators=(",", ":"))
        f.write("\n")


def bytes_of(token):
    """The text of a token, or None if its bytes are no UTF-8."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in visible]
    back = {chr(b): b for b in visible} | {chr(256 + n): b for n, b in enumerate(others)}
    try:
        return bytes(back[c] for c in token.replace("</w>", "")).decode("utf-8")
    except UnicodeDecodeError:
        return None


if __name__ == "__main__":
    main()
