"""Draws one image with rt-tune and with diffusers from equal latents and compares them.

usage: python tests/tools/check_diffusers.py RT_TUNE MODEL_FOLDER [--lora FOLDER] [--prompt P] [--steps N]
       [--guidance W] [--side PIXELS]
(torch 2.13.0, diffusers 0.42.1, transformers, peft)

Loads MODEL_FOLDER, of Stable Diffusion 1, 2 or XL, by DiffusionPipeline.from_pretrained and the LoRA by
load_lora_weights, feeds both programs the same start latents, and prints the largest differences of the clean latents
and of the image in [0,1].
Exit code 1 if either exceeds 1e-3 (a PNG rounds to 1/255: half a level is added there).
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("rt_tune")
    ap.add_argument("model")
    ap.add_argument("--lora")
    ap.add_argument("--prompt", default="a large red star on a grey background")
    ap.add_argument("--steps", type=int, default=20)
    ap.add_argument("--guidance", type=float, default=3.0)
    ap.add_argument("--side", type=int, help="of the image; the model's own if left out")
    a = ap.parse_args()
    from diffusers import DDIMScheduler, DiffusionPipeline
    scheduler = DDIMScheduler.from_pretrained(a.model, subfolder="scheduler")
    pipe = DiffusionPipeline.from_pretrained(a.model, scheduler=scheduler)
    pipe.set_progress_bar_config(disable=True)
    if a.lora:
        pipe.load_lora_weights(a.lora)
    side = a.side // pipe.vae_scale_factor if a.side else pipe.unet.config.sample_size
    pixels = side * pipe.vae_scale_factor
    start = torch.randn(1, pipe.unet.config.in_channels, side, side, generator=torch.Generator().manual_seed(7))
    call = dict(prompt=a.prompt, height=pixels, width=pixels, num_inference_steps=a.steps,
                guidance_scale=a.guidance, latents=start.clone())
    wanted = pipe(**call, output_type="latent").images
    image = torch.from_numpy(pipe(**call, output_type="np").images[0]).permute(2, 0, 1)
    del pipe  # two of SDXL do not fit into 24 GB
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        save_file({"latents": start}, work / "in.safetensors")
        command = [a.rt_tune, "sample", "--model", a.model, *(["--lora", a.lora] if a.lora else []),
                   "--prompt", a.prompt, "--steps", str(a.steps), "--guidance", str(a.guidance),
                   "--height", str(pixels), "--width", str(pixels), "--latents", work / "in.safetensors",
                   "--out", work / "out.png", "--save-latents", work / "out.safetensors"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        latents = load_file(work / "out.safetensors")["latents"]
        drawn = torch.from_numpy(np.asarray(Image.open(work / "out.png").convert("RGB")).copy()).permute(2, 0, 1) / 255
    worst = (latents - wanted).abs().max().item(), (drawn - image).abs().max().item()
    print(f"largest difference: latents {worst[0]:.2e}, image {worst[1]:.2e} "
          f"(of which the PNG's rounding {0.5 / 255:.2e})")
    sys.exit(worst[0] > 1e-3 or worst[1] > 1e-3 + 0.5 / 255)


if __name__ == "__main__":
    main()
