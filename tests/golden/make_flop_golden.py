"""Writes flops.json: the arithmetic of the published networks, counted by torch.utils.flop_counter on diffusers' and
transformers' classes with tensors that have no memory.

usage: make_flop_golden.py [OUT]

Each entry is one row of a frozen network: its forward and, where it is there, the backward to its input. Attention is
counted as fused kernels run it: two products, and five in the backward, which makes the weights once more. Tensors
without memory take plain products, four in the backward, so that the fifth is added.
"""
import json
import pathlib
import sys

import torch
from torch.utils.flop_counter import FlopCounterMode
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

SD = dict(sample_size=64, in_channels=4, out_channels=4, layers_per_block=2,
          block_out_channels=(320, 640, 1280, 1280), cross_attention_dim=768, attention_head_dim=8,
          down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
          up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3)
SD2 = SD | dict(cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20), use_linear_projection=True)
XL = dict(sample_size=128, in_channels=4, out_channels=4, layers_per_block=2, block_out_channels=(320, 640, 1280),
          cross_attention_dim=2048, attention_head_dim=(5, 10, 20), use_linear_projection=True,
          transformer_layers_per_block=(1, 2, 10), addition_embed_type="text_time", addition_time_embed_dim=256,
          projection_class_embeddings_input_dim=2816,
          down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 2,
          up_block_types=("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",))
VAE = dict(in_channels=3, out_channels=3, latent_channels=4, layers_per_block=2,
           block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * 4,
           up_block_types=("UpDecoderBlock2D",) * 4)


def counted(run, backward):
    counter = FlopCounterMode(display=False)
    with counter:
        out = run()
    forward = counter.get_total_flops()
    if not backward:
        return {"forward": forward}
    attention = counter.get_flop_counts()["Global"].get(torch.ops.aten.bmm, 0)
    counter = FlopCounterMode(display=False)
    with counter:
        out.backward(torch.empty_like(out))
    return {"forward": forward, "backward": counter.get_total_flops() + attention // 2}


def unet(config, side, words=77):
    with torch.device("meta"):
        network = UNet2DConditionModel(**config).requires_grad_(False)
        x = torch.empty(1, 4, side, side, requires_grad=True)
        added = {}
        if "addition_embed_type" in config:
            added = {"text_embeds": torch.empty(1, 1280), "time_ids": torch.empty(1, 6)}
        states = torch.empty(1, words, config["cross_attention_dim"])
        return counted(lambda: network(x, torch.zeros(1), states, added_cond_kwargs=added).sample, True)


def vae(side, encode):
    with torch.device("meta"):
        network = AutoencoderKL(**VAE).requires_grad_(False)
        x = torch.empty(1, 3 if encode else 4, side, side, requires_grad=True)
        run = (lambda: network.quant_conv(network.encoder(x))) if encode else (lambda: network.decode(x).sample)
        return counted(run, True)


def text(width, layers, heads, act):
    with torch.device("meta"):
        config = CLIPTextConfig(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
                                num_attention_heads=heads, hidden_act=act, vocab_size=49408)
        network = CLIPTextModel(config).requires_grad_(False)
        return counted(lambda: network(torch.zeros(1, 77, dtype=torch.long)).last_hidden_state, False)


def main():
    out = {"unet": {"sd15 64": unet(SD, 64), "sd21 64": unet(SD2, 64), "sd21 96": unet(SD2, 96),
                    "sdxl 64": unet(XL, 64), "sdxl 128": unet(XL, 128)},
           "decoder": {"64": vae(64, False), "128": vae(128, False)},
           "encoder": {"64": vae(512, True)},
           "text": {"sd15": text(768, 12, 12, "quick_gelu")}}
    path = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    path = path.parent / "flops.json" if path.suffix == ".py" else path
    path.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
