"""Write jpeg/sizes.json: bytes of JPEG files that Pillow (libjpeg-turbo) makes of pictures given by formulas.

usage: make_jpeg_golden.py [OUT_DIR] (default: the folder of this script)

Every picture is made again by the test (tests/rewards/jpeg_size_test.cpp) from the same whole-number formulas, so no
picture is kept. Files are Pillow's defaults: JFIF, baseline, 4:2:0, default Huffman tables.
"""

import io
import json
import pathlib
import sys

import PIL
from PIL import Image, features


def pixel(kind, c, x, y):
    """Channel c of the pixel in column x and row y, 0..255."""
    if kind == "flat":
        return (40, 120, 200)[c]
    if kind == "ramp":
        return (3 * x + 2 * y + 40 * c) % 256
    if kind == "product":
        return (x * y + 7 * c * x) % 256
    if kind == "blocks":
        return (x // 5 + y // 7) % 2 * 150 + 35 * c
    mixed = (x * 73856093) ^ (y * 19349663) ^ (c * 83492791)  # noise
    return mixed * 2654435761 % 2**32 >> 24


def size(kind, width, height, quality):
    picture = Image.new("RGB", (width, height))
    picture.putdata([tuple(pixel(kind, c, x, y) for c in range(3)) for y in range(height) for x in range(width)])
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return len(file.getvalue())


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent) / "jpeg"
    folder.mkdir(parents=True, exist_ok=True)
    cases = [
        {
            "kind": kind,
            "width": width,
            "height": height,
            "quality": quality,
            "bytes": size(kind, width, height, quality),
        }
        for kind in ("flat", "ramp", "product", "blocks", "noise")
        for width, height in ((64, 64), (33, 47), (16, 16))
        for quality in (10, 50, 95, 100)
    ]
    made_by = f"Pillow {PIL.__version__}, libjpeg-turbo {features.version_feature('libjpeg_turbo')}"
    lines = ",\n    ".join(json.dumps(case) for case in cases)
    (folder / "sizes.json").write_text(f'{{\n  "made_by": "{made_by}",\n  "cases": [\n    {lines}\n  ]\n}}\n')


main()
