"""Write image_preprocessing.safetensors: what torch makes of one image by each rule of ImagePreprocessor.

usage: make_image_golden.py [OUT_DIR] (default: the folder of this script)

`wide` [1,3,13,23] is the image, `tall` its transpose. NAME is what the rule gives before mean and deviation, NAME.grad
the gradient of (NAME * cotangent).sum(): torch.nn.functional.interpolate with torchvision's and transformers' sizes
and crops. `small` stays smaller than the result, `fits` has its size already along the longer edge.
"""

import os
import sys

import torch
from safetensors.torch import save_file

SIDE = 10


def resized(image, h, w, antialias=True):
    return torch.nn.functional.interpolate(image, size=(h, w), mode="bicubic", antialias=antialias, align_corners=False)


def cropped(image, start):
    h, w = image.shape[-2:]
    top, left = start(h - SIDE), start(w - SIDE)
    return image[..., top : top + SIDE, left : left + SIDE]


def letterbox(image, antialias):
    h, w = image.shape[-2:]
    scale = SIDE / float(max(h, w))
    h, w = round(h * scale), round(w * scale)
    image = resized(image, h, w, antialias)
    rows, columns = SIDE - h, SIDE - w
    return torch.nn.functional.pad(image, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    torch.manual_seed(3)
    half_down, half_even = lambda n: n // 2, lambda n: int(round(n / 2.0))
    images = {"wide": torch.rand(1, 3, 13, 23, dtype=torch.float64)}
    images["tall"] = images["wide"].transpose(2, 3).contiguous()
    images["small"] = images["wide"][:, :, :6, :9].contiguous()
    images["fits"] = images["wide"][:, :, :5, :SIDE].contiguous()
    rules = {
        "floor": lambda x: cropped(shortest(x), half_down),
        "even": lambda x: cropped(shortest(x), half_even),
        "letterbox": lambda x: letterbox(x, True),
        "letterbox_plain": lambda x: letterbox(x, False),
        "square": lambda x: resized(x, SIDE, SIDE),
    }

    def shortest(x):
        h, w = x.shape[-2:]
        return resized(x, *((SIDE, int(SIDE * w / h)) if h <= w else (int(SIDE * h / w), SIDE)))

    cotangent = torch.randn(1, 3, SIDE, SIDE, dtype=torch.float64)
    tensors = dict(images, cotangent=cotangent)
    for image, x in images.items():
        for rule, f in rules.items():
            x = x.detach().requires_grad_()
            y = f(x)
            name = image + "." + rule
            tensors[name] = y.detach()
            tensors[name + ".grad"] = torch.autograd.grad((y * cotangent).sum(), x)[0]
    tensors = {k: v.detach().float().contiguous() for k, v in tensors.items()}
    save_file(tensors, os.path.join(out, "image_preprocessing.safetensors"))


if __name__ == "__main__":
    main()
