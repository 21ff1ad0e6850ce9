"""Writes a small Stable Diffusion with random weights as diffusers saves it: for time and memory, not for images.

usage: make_random_model.py FOLDER      (needs diffusers and transformers)

The UNet has 2.2 M parameters (widths 48 and 96), the VAE widths 32, 64, 64; images are 64 x 64, latents 4 x 16 x 16,
prompts 16 tokens.
The tokenizer is that of examples/models/tiny-shapes. Bytes of an update depend on these sizes only, so that
`bench_bounds --model FOLDER` compares its peak with that of a Python loop on a model of the same sizes.
"""
import json
import shutil
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

SHIPPED = Path(__file__).resolve().parent.parent / "examples/models/tiny-shapes"


def main(folder):
    torch.manual_seed(0)
    shutil.copytree(SHIPPED / "tokenizer", folder / "tokenizer")
    shutil.copy(SHIPPED / "model_index.json", folder)
    text = json.loads((SHIPPED / "text_encoder/config.json").read_text())
    sizes = {key: value for key, value in text.items() if key != "model_type"}
    CLIPTextModel(CLIPTextConfig(**sizes)).save_pretrained(folder / "text_encoder")
    UNet2DConditionModel(sample_size=16, block_out_channels=(48, 96), layers_per_block=1,
                         down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                         up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                         cross_attention_dim=text["hidden_size"], attention_head_dim=4,
                         norm_num_groups=16).save_pretrained(folder / "unet")
    AutoencoderKL(sample_size=64, block_out_channels=(32, 64, 64), layers_per_block=1,
                  down_block_types=("DownEncoderBlock2D",) * 3,
                  up_block_types=("UpDecoderBlock2D",) * 3, norm_num_groups=16).save_pretrained(folder / "vae")
    DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
                  set_alpha_to_one=False,
                  steps_offset=1).save_pretrained(folder / "scheduler")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
