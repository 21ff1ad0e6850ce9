"""Writes a diffusers folder with random weights in a published configuration at its full size, with CLIP's vocabulary.

usage: make_model.py sd15|sdxl FOLDER      (needs torch, diffusers, transformers, open_clip_torch)

sd15: Stable Diffusion 1.5 (UNet 860 M, VAE 84 M, text encoder 123 M weights; 4.3 GB in float32).
sdxl: Stable Diffusion XL base 1.0 (UNet 2.57 G, VAE 84 M, text encoders 123 M and 695 M weights; 13.9 GB).
The weights are those of the libraries' own initialization with seed 0: for numbers, time and memory, not for images.
"""
import gzip
import json
import sys
from importlib.metadata import distribution
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, EulerDiscreteScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

CLIP_L = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
              projection_dim=768, hidden_act="quick_gelu")
CLIP_G = dict(hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20,
              projection_dim=1280, hidden_act="gelu")
BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1)


def text(kind, folder, **sizes):
    config = CLIPTextConfig(vocab_size=49408, max_position_embeddings=77, bos_token_id=49406, eos_token_id=49407,
                            pad_token_id=1, **sizes)
    kind(config).save_pretrained(folder)


def tokenizer(folder, padding):
    """CLIP's vocabulary as transformers' first tokenizer files have it."""
    folder.mkdir(parents=True)
    packed = distribution("open_clip_torch").locate_file("open_clip/bpe_simple_vocab_16e6.txt.gz")
    merges = gzip.open(packed, "rt", encoding="utf-8").read().split("\n")[1:49152 - 256 - 2 + 1]
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = [chr(c) for c in printable] + [chr(256 + i) for i in range(256 - len(printable))]
    words = letters + [letter + "</w>" for letter in letters] + ["".join(merge.split()) for merge in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    assert len(words) == 49408, len(words)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(
        dict(tokenizer_class="CLIPTokenizer", model_max_length=77, do_lower_case=True, bos_token="<|startoftext|>",
             eos_token="<|endoftext|>", unk_token="<|endoftext|>", pad_token=padding)))


def vae(folder, **settings):
    AutoencoderKL(down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
                  block_out_channels=(128, 256, 512, 512), layers_per_block=2, **settings).save_pretrained(folder)


def index(folder, pipeline, **parts):
    (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline, **parts}, indent=2))


def sd15(folder):
    text(CLIPTextModel, folder / "text_encoder", **CLIP_L)
    tokenizer(folder / "tokenizer", "<|endoftext|>")
    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    unet.save_pretrained(folder / "unet")
    vae(folder / "vae", sample_size=512)
    DDIMScheduler(clip_sample=False, set_alpha_to_one=False, **BETAS).save_pretrained(folder / "scheduler")
    index(folder, "StableDiffusionPipeline", safety_checker=[None, None], feature_extractor=[None, None],
          requires_safety_checker=False, text_encoder=["transformers", "CLIPTextModel"],
          tokenizer=["transformers", "CLIPTokenizer"], unet=["diffusers", "UNet2DConditionModel"],
          vae=["diffusers", "AutoencoderKL"], scheduler=["diffusers", "DDIMScheduler"])


def sdxl(folder):
    text(CLIPTextModel, folder / "text_encoder", **CLIP_L)
    text(CLIPTextModelWithProjection, folder / "text_encoder_2", **CLIP_G)
    tokenizer(folder / "tokenizer", "<|endoftext|>")
    tokenizer(folder / "tokenizer_2", "!")
    unet = UNet2DConditionModel(sample_size=128, block_out_channels=(320, 640, 1280),
                                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                                up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
                                transformer_layers_per_block=(1, 2, 10), attention_head_dim=(5, 10, 20),
                                cross_attention_dim=2048, use_linear_projection=True, addition_embed_type="text_time",
                                addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816)
    unet.save_pretrained(folder / "unet", max_shard_size="20GB")
    vae(folder / "vae", sample_size=1024, scaling_factor=0.13025, force_upcast=True)
    EulerDiscreteScheduler(timestep_spacing="leading", **BETAS).save_pretrained(folder / "scheduler")
    file = folder / "scheduler/scheduler_config.json"  # the published one has keys of other samplers
    file.write_text(json.dumps(json.loads(file.read_text()) | dict(clip_sample=False, set_alpha_to_one=False)))
    index(folder, "StableDiffusionXLPipeline", force_zeros_for_empty_prompt=True,
          text_encoder=["transformers", "CLIPTextModel"], tokenizer=["transformers", "CLIPTokenizer"],
          text_encoder_2=["transformers", "CLIPTextModelWithProjection"], tokenizer_2=["transformers", "CLIPTokenizer"],
          unet=["diffusers", "UNet2DConditionModel"], vae=["diffusers", "AutoencoderKL"],
          scheduler=["diffusers", "EulerDiscreteScheduler"])


if __name__ == "__main__":
    families = {"sd15": sd15, "sdxl": sdxl}
    if len(sys.argv) != 3 or sys.argv[1] not in families:
        sys.exit(__doc__)
    torch.manual_seed(0)
    families[sys.argv[1]](Path(sys.argv[2]))
