"""Makes tests/golden/parity: small cases with the answers of diffusers, transformers and peft, for parity_check.

usage: python tests/golden/make_parity_golden.py (torch 2.13.0, diffusers 0.42.1, transformers 5, peft)

A case is a folder with case.json (component, tolerances, names of the outputs), config.json, weights.safetensors,
inputs.safetensors and expected.safetensors. Answers are computed in float64 and stored as float32. The seed below
fixes everything.
"""

import json
import pathlib
import shutil

import diffusers
import torch
import transformers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

SEED = 20261123
ROOT = pathlib.Path(__file__).parent / "parity"
SD_BETAS = dict(
    num_train_timesteps=1000,
    beta_start=0.00085,
    beta_end=0.012,
    beta_schedule="scaled_linear",
    steps_offset=1,
    clip_sample=False,
)


def write(name, component, config, inputs, expected, weights=None, optional=(), **settings):
    folder = ROOT / name
    folder.mkdir(parents=True)
    single = lambda d: {
        k: (v.float() if v.is_floating_point() else v).detach().contiguous().clone() for k, v in d.items()
    }
    save_file(single(inputs), folder / "inputs.safetensors")
    save_file(single(expected), folder / "expected.safetensors")
    if weights is not None:
        save_file(single(weights), folder / "weights.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    outputs = [k for k in expected if k not in optional]
    case = dict(component=component, atol=1e-5, rtol=1e-5, outputs=outputs, optional=list(optional), **settings)
    (folder / "case.json").write_text(json.dumps(case, indent=1))
    return folder


def moved(network):
    """All 1-D parameters leave 0 and 1, so that a forgotten or swapped one is noticed."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return network.eval()


def unet_inputs(network):
    return dict(
        sample=torch.randn(2, 4, 8, 4),
        timestep=torch.tensor([3.0, 871.0]),
        encoder_hidden_states=torch.randn(2, 5, network.config.cross_attention_dim),
        cotangent=torch.randn(2, 4, 8, 4),
    )


def small_unet(**more):
    return moved(
        diffusers.UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=12,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            **more,
        )
    )


def unets():
    for name, more in (
        ("unet_sd1", dict(attention_head_dim=2)),
        ("unet_sd2", dict(attention_head_dim=[2, 4], use_linear_projection=True)),
    ):
        network = small_unet(**more)
        weights, inputs = {k: v.clone() for k, v in network.state_dict().items()}, unet_inputs(network)
        network.double().requires_grad_(False)
        x, c = inputs["sample"].double().requires_grad_(), inputs["encoder_hidden_states"].double().requires_grad_()
        y = network(x, inputs["timestep"], encoder_hidden_states=c).sample
        g = torch.autograd.grad(y, [x, c], inputs["cotangent"].double())
        write(
            name,
            "unet",
            json.loads(network.to_json_string()),
            inputs,
            {"sample": y, "grad.sample": g[0], "grad.encoder_hidden_states": g[1]},
            weights,
        )


def vaes():
    network = moved(
        diffusers.AutoencoderKL(
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            sample_size=16,
            latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
        )
    )
    weights = {k: v.clone() for k, v in network.state_dict().items()}
    inputs = dict(
        image=torch.rand(1, 3, 10, 6) * 2 - 1, latent=torch.randn(1, 4, 5, 3), cotangent=torch.randn(1, 3, 10, 6)
    )
    network.double().requires_grad_(False)
    posterior = network.encode(inputs["image"].double()).latent_dist
    z = inputs["latent"].double().requires_grad_()
    image = network.decode(z).sample
    gradient = torch.autograd.grad(image, z, inputs["cotangent"].double())[0]
    write(
        "vae",
        "vae",
        json.loads(network.to_json_string()),
        inputs,
        {
            "moments": posterior.parameters,
            "mean": posterior.mean,
            "std": posterior.std,
            "image": image,
            "grad.latent": gradient,
        },
        weights,
    )


def texts():
    for name, cls, act, eos in (
        ("text", transformers.CLIPTextModel, "quick_gelu", 2),
        ("text_projection", transformers.CLIPTextModelWithProjection, "gelu", 49),
    ):
        config = transformers.CLIPTextConfig(
            vocab_size=50,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=8,
            projection_dim=12,
            hidden_act=act,
            bos_token_id=48,
            eos_token_id=eos,
            pad_token_id=1,
        )
        network = moved(cls(config))
        weights = {k: v.clone() for k, v in network.state_dict().items()}
        ids = torch.randint(3, 48, (2, 8))
        ids[:, 0], ids[0, 5:], ids[1, 7] = 48, 49, 49
        out = network.double()(ids, output_hidden_states=True)
        expected = {"last_hidden_state": out.last_hidden_state}
        expected.update(
            {"text_embeds": out.text_embeds} if "text_embeds" in out else {"pooler_output": out.pooler_output}
        )
        write(
            name, "text", dict(config.to_dict(), architectures=[cls.__name__]), dict(input_ids=ids), expected, weights
        )


def schedulers():
    ddim, ddpm = diffusers.DDIMScheduler, diffusers.DDPMScheduler
    cases = (
        ("ddim", ddim, dict(SD_BETAS, set_alpha_to_one=False), 10, 0.0),
        ("ddim_eta1_v", ddim, dict(SD_BETAS, prediction_type="v_prediction"), 7, 1.0),
        ("ddim_half_trailing", ddim, dict(SD_BETAS, timestep_spacing="trailing"), 7, 0.5),
        ("ddim_clip", ddim, dict(SD_BETAS, clip_sample=True), 6, 0.3),
        ("ddim_linspace_sample", ddim, dict(SD_BETAS, timestep_spacing="linspace", prediction_type="sample"), 6, 0.0),
        ("ddim_threshold", ddim, dict(SD_BETAS, thresholding=True, sample_max_value=1.5), 5, 0.0),
        ("ddpm", ddpm, dict(SD_BETAS), 10, None),
        ("ddpm_large_v", ddpm, dict(SD_BETAS, variance_type="fixed_large", prediction_type="v_prediction"), 6, None),
        ("ddpm_clip_trailing", ddpm, dict(SD_BETAS, clip_sample=True, timestep_spacing="trailing"), 7, None),
    )
    for name, cls, config, steps, eta in cases:
        scheduler = cls.from_config(config)
        scheduler.set_timesteps(steps)
        # unit-scale latents: a network output of the size that keeps x near its level
        inputs = dict(
            noise_start=torch.randn(2, 4, 3, 3),
            model_output=torch.randn(steps, 2, 4, 3, 3),
            noise=torch.randn(steps, 2, 4, 3, 3),
        )
        module = __import__(cls.__module__, fromlist=["randn_tensor"])
        saved, queue = module.randn_tensor, []
        module.randn_tensor = lambda shape, **kw: queue.pop()
        x = inputs["noise_start"].double()
        trajectory = [x]
        for k, t in enumerate(scheduler.timesteps):
            noise = inputs["noise"][k].double()
            queue[:] = [noise]
            more = {} if eta is None else dict(eta=eta, variance_noise=noise if eta > 0 else None)
            x = scheduler.step(inputs["model_output"][k].double(), t, x, **more).prev_sample.double()
            trajectory.append(x)
        module.randn_tensor = saved
        write(
            "scheduler_" + name,
            "scheduler",
            json.loads(scheduler.to_json_string()),
            inputs,
            {"timesteps": scheduler.timesteps.double(), "trajectory": torch.stack(trajectory)},
            steps=steps,
            step={} if eta is None else dict(eta=eta),
        )


def loras():
    for name, kohya in (("lora_peft", False), ("lora_kohya", True)):
        network = small_unet(attention_head_dim=2)
        weights, config, inputs = (
            {k: v.clone() for k, v in network.state_dict().items()},
            json.loads(network.to_json_string()),
            unet_inputs(network),
        )
        call = lambda: network(
            inputs["sample"].double(),
            inputs["timestep"],
            encoder_hidden_states=inputs["encoder_hidden_states"].double(),
        ).sample
        with torch.no_grad():
            base = network.double() and call()
        targets = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "proj_in", "ff.net.0.proj"]
        network.float().add_adapter(
            LoraConfig(r=3, lora_alpha=6 if kohya else 3, init_lora_weights="gaussian", target_modules=targets)
        )
        for key, parameter in network.named_parameters():
            if "lora_B" in key:
                torch.nn.init.normal_(parameter.data, std=0.1)
        state = get_peft_model_state_dict(network)
        with torch.no_grad():
            network.double()
            full = call()
            network.set_adapters(network.active_adapters(), 0.5)
            half = call()
        folder = write(name, "lora", config, inputs, {"base": base, "scale_1": full, "scale_half": half}, weights)
        if kohya:
            out = {}
            for key, value in state.items():
                path, kind = key.rsplit(".lora_", 1)
                stem = "lora_unet_" + path.replace(".", "_")
                out[stem + (".lora_down.weight" if kind.startswith("A") else ".lora_up.weight")] = (
                    value.float().contiguous()
                )
                out[stem + ".alpha"] = torch.tensor(6.0)
            save_file(out, folder / "pytorch_lora_weights.safetensors")
        else:
            diffusers.StableDiffusionPipeline.save_lora_weights(
                folder, unet_lora_layers={k: v.float() for k, v in state.items()}
            )


def lora_files():
    """A file of diffusers with UNet and text encoder, alpha and patterns in its header; a folder of peft's own."""
    from diffusers.utils.state_dict_utils import convert_state_dict_to_diffusers
    from peft import get_peft_model, inject_adapter_in_model

    patterns = dict(  # sorted, as the writers leave them: the first that matches counts
        rank_pattern={"attn2.to_k": 1, "mid_block.*to_q": 2},
        alpha_pattern={".*attn1.to_out.0": 2, "mid_block.*to_(q|k)": 7, "to_k": 5},
    )
    for name, peft_folder in (("lora_file_diffusers", False), ("lora_file_peft", True)):
        unet = small_unet(attention_head_dim=2)
        text = moved(
            transformers.CLIPTextModel(
                transformers.CLIPTextConfig(
                    vocab_size=50,
                    hidden_size=12,
                    intermediate_size=24,
                    num_hidden_layers=2,
                    num_attention_heads=2,
                    max_position_embeddings=8,
                    bos_token_id=48,
                    eos_token_id=49,
                    pad_token_id=1,
                )
            )
        )
        weights, config = {k: v.clone() for k, v in unet.state_dict().items()}, json.loads(unet.to_json_string())
        ids = torch.randint(3, 48, (2, 8))
        ids[:, 0], ids[0, 5:], ids[1, 7] = 48, 49, 49
        inputs = dict(unet_inputs(unet), input_ids=ids)

        def call(expected, scale):
            with torch.no_grad():
                expected[scale + ".sample"] = unet.double()(
                    inputs["sample"].double(),
                    inputs["timestep"],
                    encoder_hidden_states=inputs["encoder_hidden_states"].double(),
                ).sample
                expected[scale + ".prompt_embeds"] = text.double()(ids)[0]

        expected, folder = {}, ROOT / name
        call(expected, "base")
        text.float().save_pretrained(folder / "text_encoder")
        settings = dict(r=3, lora_alpha=6, init_lora_weights="gaussian", use_rslora=not peft_folder, **patterns)
        adapted = {"unet": (unet.float(), LoraConfig(target_modules=["to_q", "to_k", "to_out.0", "conv1"], **settings))}
        if not peft_folder:
            text_settings = dict(r=2, lora_alpha=8, init_lora_weights="gaussian")
            adapted["text_encoder"] = (text, LoraConfig(target_modules=["q_proj", "fc2"], **text_settings))
        for network, lora in adapted.values():
            inject_adapter_in_model(lora, network)
            for key, parameter in network.named_parameters():
                if "lora_B" in key:
                    torch.nn.init.normal_(parameter.data, std=0.1)
        states = {part: get_peft_model_state_dict(network) for part, (network, _) in adapted.items()}
        call(expected, "scale_1")
        for network, _ in adapted.values():
            for module in network.modules():
                if hasattr(module, "scale_layer"):
                    module.scale_layer(0.5)
        call(expected, "scale_half")
        shutil.move(folder / "text_encoder", ROOT / "text_encoder")
        folder.rmdir()
        write(name, "lora_file", config, inputs, expected, weights, lora="lora")
        shutil.move(ROOT / "text_encoder", folder / "text_encoder")
        if peft_folder:
            fresh = diffusers.UNet2DConditionModel.from_config(config)
            model = get_peft_model(fresh, adapted["unet"][1])
            keys = {k.removeprefix("base_model.model."): k for k in get_peft_model_state_dict(model)}
            own = {k.replace(".weight", ".default.weight"): v for k, v in states["unet"].items()}
            missing = fresh.load_state_dict({k: v.float() for k, v in own.items()}, strict=False)
            assert not missing.unexpected_keys and set(keys) == set(states["unet"])
            model.save_pretrained(folder / "lora")
            (folder / "lora" / "README.md").unlink(missing_ok=True)
        else:
            half = {p: {k: v.float() for k, v in states[p].items()} for p in states}
            diffusers.StableDiffusionPipeline.save_lora_weights(
                folder / "lora",
                unet_lora_layers=half["unet"],
                text_encoder_lora_layers=convert_state_dict_to_diffusers(half["text_encoder"]),
                unet_lora_adapter_metadata=plain(adapted["unet"][1]),
                text_encoder_lora_adapter_metadata=plain(adapted["text_encoder"][1]),
            )


def plain(config):
    return {k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items()}


def main():
    diffusers.logging.set_verbosity_error()
    torch.manual_seed(SEED)
    shutil.rmtree(ROOT, ignore_errors=True)
    for part in (unets, vaes, texts, schedulers, loras, lora_files):
        part()
    size = sum(f.stat().st_size for f in ROOT.rglob("*") if f.is_file())
    print(f"{len(list(ROOT.iterdir()))} cases, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
