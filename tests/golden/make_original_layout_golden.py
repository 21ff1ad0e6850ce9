"""Write original_layout.json: the names of full-size networks in the original layout, and diffusers' names for them.

usage: make_original_layout_golden.py [OUT_DIR] (default: the folder of this script)

Stable Diffusion 1's and XL's UNet and their VAE, built name by name as the trainers' classes (openaimodel.UNetModel,
ldm's Encoder and Decoder) build them. Each name goes through diffusers' converters for single files; a list has the
original names, without what all of a network share, in the sorted order of the diffusers names that they become.
"""

import json
import os
import sys

import diffusers
import torch
from diffusers.loaders import single_file_utils as converters

CLASSIC = dict(mult=[1, 2, 4, 4], depth=[1, 1, 1, 0], middle=1, sizes=False)
XL = dict(mult=[1, 2, 4], depth=[0, 2, 10], middle=10, sizes=True)


def both(name):
    return [name + ".weight", name + ".bias"]


def resnet(place, shortcut):
    inner = ["in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3"]
    return [n for i in inner + ["skip_connection"] * shortcut for n in both(f"{place}.{i}")]


def transformer(place, depth):
    names = [n for i in ("norm", "proj_in", "proj_out") for n in both(f"{place}.{i}")]
    for d in range(depth):
        block = f"{place}.transformer_blocks.{d}"
        names += [n for i in ("norm1", "norm2", "norm3", "ff.net.0.proj", "ff.net.2") for n in both(f"{block}.{i}")]
        for attention in ("attn1", "attn2"):
            names += [f"{block}.{attention}.{i}.weight" for i in ("to_q", "to_k", "to_v")]
            names += both(f"{block}.{attention}.to_out.0")
    return names


def unet(mult, depth, middle, sizes, resnets=2):
    names = both("time_embed.0") + both("time_embed.2") + both("input_blocks.0.0")
    names += (both("label_emb.0.0") + both("label_emb.0.2")) * sizes
    width, skips, n = 1, [1], 0
    for level, m in enumerate(mult):
        for _ in range(resnets):
            n += 1
            names += resnet(f"input_blocks.{n}.0", width != m)
            names += transformer(f"input_blocks.{n}.1", depth[level]) * (depth[level] > 0)
            width = m
            skips.append(width)
        if level + 1 < len(mult):
            n += 1
            names += both(f"input_blocks.{n}.0.op")
            skips.append(width)
    names += resnet("middle_block.0", False) + transformer("middle_block.1", middle) + resnet("middle_block.2", False)
    n = 0
    for level, m in reversed(list(enumerate(mult))):
        for i in range(resnets + 1):
            skips.pop()
            names += resnet(f"output_blocks.{n}.0", True)
            names += transformer(f"output_blocks.{n}.1", depth[level]) * (depth[level] > 0)
            if level and i == resnets:
                names += both(f"output_blocks.{n}.{2 if depth[level] else 1}.conv")
            n += 1
    return ["model.diffusion_model." + n for n in names + both("out.0") + both("out.2")]


def vae(mult=(1, 2, 4, 4), resnets=2):
    def block(place, shortcut):
        inner = ["norm1", "conv1", "norm2", "conv2"] + ["nin_shortcut"] * shortcut
        return [n for i in inner for n in both(f"{place}.{i}")]

    names, top = both("quant_conv") + both("post_quant_conv"), len(mult) - 1
    for half in ("encoder", "decoder"):
        names += [n for i in ("conv_in", "norm_out", "conv_out") for n in both(f"{half}.{i}")]
        names += block(f"{half}.mid.block_1", False) + block(f"{half}.mid.block_2", False)
        names += [n for i in ("norm", "q", "k", "v", "proj_out") for n in both(f"{half}.mid.attn_1.{i}")]
    for level, m in enumerate(mult):
        before = mult[max(level - 1, 0)]
        for i in range(resnets):
            names += block(f"encoder.down.{level}.block.{i}", i == 0 and before != m)
        names += both(f"encoder.down.{level}.downsample.conv") * (level < top)
        after = mult[min(level + 1, top)]
        for i in range(resnets + 1):
            names += block(f"decoder.up.{level}.block.{i}", i == 0 and after != m)
        names += both(f"decoder.up.{level}.upsample.conv") * (level > 0)
    return ["first_stage_model." + n for n in names]


def pairs(names, convert, model):
    """Original names in the order of the model's: each tensor carries its name's number through the converter."""
    kernel = lambda n: ".attn_1." in n and n.endswith("weight") and ".norm." not in n
    state = {n: torch.full((1, 1, 1, 1) if kernel(n) else (1,), float(k)) for k, n in enumerate(names)}
    converted = convert(dict(state))
    assert set(converted) == set(model.state_dict()), set(converted) ^ set(model.state_dict())
    assert len(converted) == len(names)
    return [names[int(converted[n].flatten()[0])] for n in sorted(converted)]


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    levels = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D", "DownBlock2D", "UpBlock2D")
    with torch.device("meta"):
        one = diffusers.UNet2DConditionModel()
        xl = diffusers.UNet2DConditionModel(
            block_out_channels=(320, 640, 1280), down_block_types=(levels[2], levels[0], levels[0]),
            up_block_types=(levels[1], levels[1], levels[3]), transformer_layers_per_block=(1, 2, 10),
            addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
            cross_attention_dim=2048, use_linear_projection=True)
        coder = diffusers.AutoencoderKL(
            block_out_channels=(128, 256, 512, 512), layers_per_block=2, down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4)
    answer = {
        "sd1_unet": pairs(unet(**CLASSIC), lambda s: converters.convert_ldm_unet_checkpoint(s, one.config), one),
        "sdxl_unet": pairs(unet(**XL), lambda s: converters.convert_ldm_unet_checkpoint(s, xl.config), xl),
        "vae": pairs(vae(), lambda s: converters.convert_ldm_vae_checkpoint(s, coder.config), coder),
    }
    for name, names in answer.items():  # without what all of a network share
        answer[name] = [n.removeprefix("model.diffusion_model.").removeprefix("first_stage_model.") for n in names]
    with open(os.path.join(out, "original_layout.json"), "w") as f:
        json.dump(answer, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
