"""First updates of direct methods by diffusers, peft and autograd on examples/models/tiny-shapes: what bench_race
--check-dump is compared with.

usage: python tests/golden/make_update_golden.py (needs torch, diffusers, transformers, peft, safetensors; rewrites
tests/golden/updates/)

Each folder holds the start of the LoRA (lora.safetensors), the noises in the order they are drawn and the embeddings
(inputs.safetensors), the gradients of autograd through the whole retained graph (grads.safetensors), and dump.json
with settings, trained steps (counted from the clean end) and loss.
"""

import json
import pathlib

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from peft import LoraConfig
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer

HERE = pathlib.Path(__file__).parent
MODEL = HERE.parent.parent / "examples" / "models" / "tiny-shapes"
PROMPTS = ["a photo of a cat", "a photo of a dog"]
CASES = {  # method, T, trained steps from the clean end, early stop, guidance, batch
    "drtune": dict(method="drtune", steps=6, trained=[2, 5], t_min=0, guidance=3.0, batch=2),
    "drtune_early_stop": dict(method="drtune", steps=7, trained=[3, 5], t_min=3, guidance=1.0, batch=1),
    "draft_all": dict(method="draft", steps=4, trained=[1, 2, 3, 4], t_min=0, guidance=3.0, batch=1),
    "draft_lv": dict(method="draft-lv", steps=3, trained=[1], t_min=0, guidance=3.0, batch=2),
    "refl": dict(method="refl", steps=5, trained=[2], t_min=2, guidance=3.0, batch=2),
}


def symmetry(pictures):
    """Eq. 6 of the DRTune paper, one number a picture."""
    mirrored = (pictures - torch.flip(pictures, dims=[3])).abs().mean(dim=(1, 2, 3))
    return mirrored / (pictures.std(dim=(1, 2, 3)) + 1e-6)


def make(name, case):
    torch.manual_seed(11)
    unet = UNet2DConditionModel.from_pretrained(MODEL / "unet").requires_grad_(False)
    vae = AutoencoderKL.from_pretrained(MODEL / "vae").requires_grad_(False)
    text = CLIPTextModel.from_pretrained(MODEL / "text_encoder").requires_grad_(False)
    tokenizer = CLIPTokenizer.from_pretrained(MODEL / "tokenizer")
    scheduler = DDIMScheduler.from_pretrained(MODEL / "scheduler")
    unet.add_adapter(
        LoraConfig(r=1, lora_alpha=1, init_lora_weights="gaussian", target_modules=["to_q", "to_k", "to_v", "to_out.0"])
    )
    lora = {key: p for key, p in unet.named_parameters() if p.requires_grad}
    for key, p in lora.items():
        if "lora_B" in key:
            p.data.normal_(std=0.05)  # a zero B would hide the gradient of A

    batch, guidance, total = case["batch"], case["guidance"], case["steps"]
    tokens = tokenizer(
        [""] * batch + PROMPTS[:batch],
        padding="max_length",
        truncation=True,
        max_length=tokenizer.model_max_length,
        return_tensors="pt",
    ).input_ids
    with torch.no_grad():
        states = text(tokens)[0]
    states = states if guidance != 1 else states[batch:]
    noises = []

    def noise():
        side = unet.config.sample_size
        noises.append(torch.randn(batch, unet.config.in_channels, side, side))
        return noises[-1]

    def network(x, timestep):
        out = unet(torch.cat([x, x]) if guidance != 1 else x, timestep, encoder_hidden_states=states).sample
        if guidance == 1:
            return out
        without, given = out.chunk(2)
        return without + guidance * (given - without)

    def loss_of(latents):
        return symmetry(vae.decode(latents / vae.config.scaling_factor).sample).mean()

    scheduler.set_timesteps(total)
    stopped = case["method"] in ("drtune", "refl")
    x = noise()
    for t in range(total, 0, -1):
        timestep = scheduler.timesteps[total - t]
        trained = t in case["trained"]
        with torch.set_grad_enabled(trained):
            h = network(x.detach() if stopped else x, timestep)
        step = scheduler.step(h if trained else h.detach(), timestep, x, eta=1.0, variance_noise=noise())
        if t == case["t_min"]:
            x = step.pred_original_sample
            break
        x = step.prev_sample
    losses = [loss_of(x)]
    if case["method"] == "draft-lv":
        level = scheduler.alphas_cumprod[scheduler.timesteps[-1]]
        for _ in range(2):
            again = level.sqrt() * x.detach() + (1 - level).sqrt() * noise()
            losses.append(
                loss_of((again - (1 - level).sqrt() * network(again, scheduler.timesteps[-1])) / level.sqrt())
            )
    loss = torch.stack(losses).mean()
    loss.backward()

    folder = HERE / "updates" / name
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: p.detach().clone().contiguous() for key, p in lora.items()}, folder / "lora.safetensors")
    save_file({key: p.grad.clone().contiguous() for key, p in lora.items()}, folder / "grads.safetensors")
    save_file({f"z{i}": z for i, z in enumerate(noises)} | {"embeds": states}, folder / "inputs.safetensors")
    executed = [t for t in case["trained"] if t >= max(case["t_min"], 1)]
    (folder / "dump.json").write_text(
        json.dumps(dict(case, trained=executed, rank=1, eta=1.0, loss=loss.item()), indent=1) + "\n"
    )
    print(f"{name}: loss {loss.item():.6f}, {sum(p.numel() for p in lora.values())} numbers trained")


for name, case in CASES.items():
    make(name, case)
