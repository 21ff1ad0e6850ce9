"""Write image_files/: small files of Pillow's and, in expected.safetensors, the pixels that Pillow reads from them.

usage: make_image_file_golden.py [OUT_DIR] (default: the folder of this script; needs Pillow, torch, safetensors)
"""

import pathlib
import sys

import torch
from PIL import Image
from safetensors.torch import save_file


def picture(height, width):
    """Smooth in parts, with an edge and some texture: uint8 [H,W,3]."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    red, green = 255 * x // max(1, width - 1), 255 * y // max(1, height - 1)
    blue = torch.where((x - width // 3) ** 2 + (y - height // 2) ** 2 < 20, 220, 40) + (x * 7 + y * 5) % 11
    return torch.stack([red, green, blue], -1).to(torch.uint8)


FILES = {
    "full.jpg": ("RGB", (13, 17), dict(quality=95, subsampling=0)),
    "halved.jpeg": ("RGB", (21, 19), dict(quality=85, subsampling=2)),  # chroma at half the size, odd sides
    "progressive.JPG": ("RGB", (16, 24), dict(quality=90, subsampling=2, progressive=True)),
    "grey.jpg": ("L", (10, 9), dict(quality=90)),
    "small.jpg": ("RGB", (1, 1), dict(quality=90)),
    "color.png": ("RGB", (5, 7), {}),
    "transparent.png": ("RGBA", (4, 6), {}),
    "palette.png": ("P", (6, 5), {}),
    "photo.png": ("RGB", (30, 40), {}),
}


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent) / "image_files"
    out.mkdir(parents=True, exist_ok=True)
    expected = {}
    for name, (mode, size, options) in FILES.items():
        image = Image.fromarray(picture(*size).numpy()).convert(mode)
        image.save(out / name, "PNG" if name.endswith("png") else "JPEG", **options)
        pixels = torch.frombuffer(bytearray(Image.open(out / name).convert("RGB").tobytes()), dtype=torch.uint8)
        expected[name] = pixels.view(*size, 3).permute(2, 0, 1).contiguous()  # [3,H,W]
    save_file(expected, out / "expected.safetensors")


if __name__ == "__main__":
    main()
