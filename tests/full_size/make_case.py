"""Writes the answer of diffusers' UNet to one random input, and its gradients, as a case for parity_probe.

usage: make_case.py MODEL_FOLDER CASE_FOLDER SIDE      (needs torch, diffusers)

SIDE is that of the latent. The case holds a link to the model's weights.
"""
import json
import sys
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file


def main(model, case, side):
    torch.manual_seed(1)
    case.mkdir(parents=True)
    unet = UNet2DConditionModel.from_pretrained(model / "unet").requires_grad_(False)
    inputs = {"sample": torch.randn(1, 4, side, side), "timestep": torch.tensor([501.0]),
              "encoder_hidden_states": torch.randn(1, 77, unet.config.cross_attention_dim),
              "cotangent": torch.randn(1, 4, side, side)}
    added = {}
    if unet.config.addition_embed_type:
        added = {"text_embeds": torch.randn(1, 1280),
                 "time_ids": torch.tensor([[8.0 * side, 8.0 * side, 0, 16, 8.0 * side, 8.0 * side]])}
    sample, states = inputs["sample"].clone().requires_grad_(), inputs["encoder_hidden_states"].clone().requires_grad_()
    out = unet(sample, inputs["timestep"], states, added_cond_kwargs=added or None).sample
    gradients = torch.autograd.grad(out, (sample, states), inputs["cotangent"])
    expected = {"sample": out.detach(), "grad.sample": gradients[0], "grad.encoder_hidden_states": gradients[1]}
    save_file(inputs | added, case / "inputs.safetensors")
    save_file({name: value.contiguous() for name, value in expected.items()}, case / "expected.safetensors")
    (case / "case.json").write_text(json.dumps({"component": "unet"}))
    (case / "config.json").write_text((model / "unet/config.json").read_text())
    (case / "weights.safetensors").symlink_to((model / "unet/diffusion_pytorch_model.safetensors").resolve())


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
