"""Writes the seed files of fuzz_safetensors: small valid files and ones with a single flaw each.

usage: make_safetensors_corpus.py FOLDER
"""
import json
import os
import struct
import sys


def pack(header, data=0, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(range(256))[:data]


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


SEEDS = {
    "empty": pack({}),
    "metadata": pack({"__metadata__": {"format": "pt", "note": "\u00e9\n"}}),
    "one": pack({"w": tensor("F32", [2, 3], 0, 24)}, 24),
    "many": pack({"__metadata__": {"format": "pt"}, "l": tensor("I64", [1], 0, 8), "a": tensor("F32", [1, 2], 8, 16),
                  "h": tensor("BF16", [], 16, 18), "e": tensor("F16", [0, 4], 18, 18),
                  "b": tensor("U8", [2], 18, 20)}, 20),
    "padded": pack(b'{"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}   ', 1),
    "hole": pack({"a": tensor("U8", [1], 0, 1), "b": tensor("U8", [1], 2, 3)}, 3),
    "overlap": pack({"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [2], 1, 3)}, 3),
    "overflow": pack({"a": tensor("F64", [4294967296, 4294967296], 0, 0)}),
    "sub_byte": pack({"a": tensor("F4", [2], 0, 1)}, 1),
    "duplicate": pack(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
                      b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
    "deep": pack(b'{"a":' + b"[" * 50),
    "long_header": pack({}, length=100_000_001),
    "header_text": b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}\x04',
}

if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    for name, content in SEEDS.items():
        with open(os.path.join(sys.argv[1], name), "wb") as f:
            f.write(content)
