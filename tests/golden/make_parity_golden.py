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
    folder.mkdir(parents=True, exist_ok=True)
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
    config = dict(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=12,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    return moved(diffusers.UNet2DConditionModel(**dict(config, **more)))


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


def small_text(cls, vocabulary, size, **more):
    return moved(
        cls(
            transformers.CLIPTextConfig(
                vocab_size=len(vocabulary),
                hidden_size=size,
                intermediate_size=2 * size,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=16,
                bos_token_id=vocabulary["<|startoftext|>"],
                eos_token_id=vocabulary["<|endoftext|>"],
                **more,
            )
        )
    )


def write_tokenizer(folder, pad):
    """vocab.json and merges.txt, as published models have them."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT.parent / "tokenizer", folder)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        settings = dict(json.loads((folder / name).read_text()), pad_token=pad)
        if "model_max_length" in settings:
            settings["model_max_length"] = 16
        (folder / name).write_text(json.dumps(settings, indent=1))


def folders():
    """Whole folders of SD 2 and SDXL with random weights, and what diffusers' pipelines sample from them."""
    torch.manual_seed(SEED + 1)  # peft draws in the order of a set, which is not always the same
    end = "<|endoftext|>"
    vocabulary = json.loads((ROOT.parent / "tokenizer" / "vocab.json").read_text())
    ddim = dict(SD_BETAS, set_alpha_to_one=False)
    zero_snr = dict(prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing")
    base = dict(prompt=["a red circle", "two blue squares, left"], output_type="latent")
    for name, config, pads, call in (
        (
            "folder_sd2",
            dict(ddim, **zero_snr),
            (end,),
            dict(num_inference_steps=4, guidance_scale=7.5, height=16, width=24, negative_prompt=["a star", "blurry"]),
        ),
        (
            "folder_sdxl",
            ddim,
            (end, "!"),
            dict(
                num_inference_steps=3,
                guidance_scale=5.0,
                height=24,
                width=16,
                original_size=(48, 40),
                crops_coords_top_left=(3, 5),
                target_size=(40, 48),
            ),
        ),
    ):
        xl = len(pads) == 2
        texts = [small_text(transformers.CLIPTextModel, vocabulary, 12, hidden_act="quick_gelu" if xl else "gelu")]
        more = dict(attention_head_dim=[2, 4], use_linear_projection=True)
        if xl:
            with_projection = transformers.CLIPTextModelWithProjection
            texts.append(small_text(with_projection, vocabulary, 8, hidden_act="gelu", projection_dim=10))
            more.update(transformer_layers_per_block=[1, 2], addition_embed_type="text_time")
            more.update(addition_time_embed_dim=4, projection_class_embeddings_input_dim=10 + 6 * 4)
        unet = small_unet(
            **more,
            cross_attention_dim=20 if xl else 12,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        )
        vae = moved(
            diffusers.AutoencoderKL(
                block_out_channels=(4, 8),
                layers_per_block=1,
                norm_num_groups=4,
                sample_size=16,
                latent_channels=4,
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                scaling_factor=0.13025 if xl else 0.18215,
            )
        )
        tokenizers = []
        for pad in pads:
            write_tokenizer(ROOT / "tokenizer", pad)
            tokenizers.append(transformers.CLIPTokenizer.from_pretrained(ROOT / "tokenizer"))
        shutil.rmtree(ROOT / "tokenizer")
        scheduler = diffusers.DDIMScheduler(**config)
        if xl:
            pipe = diffusers.StableDiffusionXLPipeline(vae, *texts, *tokenizers, unet, scheduler)
        else:
            parts = (vae, *texts, *tokenizers, unet, scheduler)
            pipe = diffusers.StableDiffusionPipeline(*parts, None, None, requires_safety_checker=False)
        model = ROOT / name / "model"
        pipe.save_pretrained(model)
        for k, pad in enumerate(pads):
            write_tokenizer(model / ("tokenizer" + "_2" * k), pad)
        for part in (vae, unet, *texts):
            part.double().requires_grad_(False)
        pipe.set_progress_bar_config(disable=True)
        inputs = dict(latents=torch.randn(2, 4, call["height"] // 2, call["width"] // 2))
        steps = [inputs["latents"].double()]
        pipe(
            **base,
            **call,
            latents=inputs["latents"].double(),
            callback_on_step_end=lambda p, k, t, o: steps.append(o["latents"].clone()) or {},
        )
        negative = call.get("negative_prompt")
        embeds = pipe.encode_prompt(
            base["prompt"],
            device="cpu",
            num_images_per_prompt=1,
            do_classifier_free_guidance=True,
            negative_prompt=negative,
        )
        keys = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
        expected = dict(zip(keys, embeds))
        expected["trajectory"] = torch.stack(steps)
        expected["timesteps"] = pipe.scheduler.timesteps.double()
        expected["image"] = pipe.vae.decode(steps[-1] / vae.config.scaling_factor).sample
        expected["default_size"] = torch.tensor([16, 16])
        if xl:
            sizes = (*call["original_size"], *call["crops_coords_top_left"], *call["target_size"])
            expected["add_time_ids"] = torch.tensor([sizes] * 2, dtype=torch.float64)
        write(
            name,
            "folder",
            {"_class_name": type(pipe).__name__},
            inputs,
            expected,
            sampler="DDIMScheduler",
            call={k: v for k, v in {**base, **call}.items() if k != "output_type"},
        )


def plain(config):
    return {k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items()}


def main():
    diffusers.logging.set_verbosity_error()
    torch.manual_seed(SEED)
    shutil.rmtree(ROOT, ignore_errors=True)
    for part in (unets, vaes, texts, schedulers, loras, lora_files, folders):
        part()
    size = sum(f.stat().st_size for f in ROOT.rglob("*") if f.is_file())
    print(f"{len(list(ROOT.iterdir()))} cases, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
