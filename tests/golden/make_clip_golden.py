"""Write clip/: a tiny random CLIPModel folder and transformers' answers for it (expected.safetensors).

usage: make_clip_golden.py [OUT_DIR] (default: the folder of this script; run make_tokenizer_golden.py first)

The reference preprocessing is torch.nn.functional.interpolate(mode="bicubic", antialias=True), which is what
transformers' torchvision backend uses; "image_features" and "text_features" are unit vectors, "grad" is the gradient
of (image_features * cotangent).sum().
"""

import json
import os
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

SIDE, LENGTH = 12, 16


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    folder = os.path.join(out, "clip")
    tokenizer_folder = os.path.join(folder, "tokenizer")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(os.path.join(out, "tokenizer"), tokenizer_folder)
    tokenizer = CLIPTokenizer.from_pretrained(tokenizer_folder)
    torch.manual_seed(7)
    model = CLIPModel(
        CLIPConfig(
            projection_dim=6,
            text_config=dict(
                vocab_size=tokenizer.vocab_size,
                hidden_size=8,
                intermediate_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=LENGTH,
                hidden_act="quick_gelu",
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
            ),
            vision_config=dict(
                hidden_size=12,
                intermediate_size=20,
                num_hidden_layers=2,
                num_attention_heads=3,
                image_size=SIDE,
                patch_size=4,
                hidden_act="gelu",
            ),
        )
    ).eval()
    for p in model.parameters():
        if p.dim():
            p.data.add_(0.1 * torch.randn_like(p))
    model.save_pretrained(folder)
    prompts = ["a cat", "A photo of the red dog on a square, the zebra and 12 more!", ""]
    images = torch.rand(3, 3, 21, 17).requires_grad_()
    cotangent = torch.randn(3, 6)
    resized = torch.nn.functional.interpolate(images, size=(int(SIDE * 21 / 17), SIDE), mode="bicubic", antialias=True)
    top = (resized.shape[2] - SIDE) // 2
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    pixels = (resized[:, :, top : top + SIDE] - mean) / std
    ids = tokenizer(prompts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt").input_ids
    answers = model(input_ids=ids, pixel_values=pixels)
    (grad,) = torch.autograd.grad((answers.image_embeds * cotangent).sum(), images)
    with open(os.path.join(folder, "prompts.json"), "w") as f:
        json.dump(prompts, f)
    tensors = dict(
        images=images,
        cotangent=cotangent,
        pixels=pixels,
        image_features=answers.image_embeds,
        text_features=answers.text_embeds,
        scale=model.logit_scale.exp(),
        grad=grad,
    )
    save_file(
        {k: v.detach().contiguous().clone() for k, v in tensors.items()}, os.path.join(folder, "expected.safetensors")
    )


if __name__ == "__main__":
    main()
