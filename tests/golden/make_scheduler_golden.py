"""Writes schedulers.json: every scheduler file that the installed diffusers can save, and how a Stable Diffusion folder
reads it.

usage: make_scheduler_golden.py [OUT]

For each file: "config" as saved, "reads", and for those that are read the timesteps, signal levels (alphas_cumprod at
these timesteps) and last level of the DDIM sampler that StableDiffusionPipeline makes of it, with the corrections of
that class. A file is read if its own class has the same signal levels as the DDIM sampler made of it, over the same
whole-numbered training steps, and its network predicts noise, velocity or sample.
"""
import inspect
import json
import os
import sys
import tempfile
import types
import warnings

import diffusers
import diffusers.schedulers
import torch

sys.modules.setdefault("torchsde", types.ModuleType("torchsde"))  # two classes import it; their files do not need it
from diffusers.schedulers import scheduling_cosine_dpmsolver_multistep, scheduling_dpmsolver_sde

warnings.filterwarnings("ignore")
diffusers.logging.set_verbosity(diffusers.logging.CRITICAL)
STEPS = 7
SD_BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
V_ZERO = dict(prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing")
PREDICTIONS = ("epsilon", "v_prediction", "sample")
FLOW = dict(prediction_type="flow_prediction", use_flow_sigmas=True)
NEEDED = dict(num_vec_classes=16, mask_token_id=7)  # by constructors that have no default for it


def classes():
    found = {n: getattr(diffusers.schedulers, n) for n in dir(diffusers.schedulers) if n.endswith("Scheduler")}
    found["DPMSolverSDEScheduler"] = scheduling_dpmsolver_sde.DPMSolverSDEScheduler
    found["CosineDPMSolverMultistepScheduler"] = scheduling_cosine_dpmsolver_multistep.CosineDPMSolverMultistepScheduler
    return sorted((n, c) for n, c in found.items() if not n.startswith("Flax"))


def made(cls, settings):
    known = inspect.signature(cls.__init__).parameters
    needed = {n: NEEDED.get(n, 1) for n, p in known.items()
              if n != "self" and p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD}
    return cls(**{**needed, **{k: v for k, v in settings.items() if k in known}})


def reads(scheduler, config, ddim):
    if "beta_start" not in config or config.get("timestep_type") == "continuous":
        return False
    if config.get("use_flow_sigmas") or config.get("prediction_type", "epsilon") not in PREDICTIONS:
        return False
    own = scheduler.alphas_cumprod.float().clone()
    if config.get("rescale_betas_zero_snr"):  # some classes keep the last level a little above 0
        own[-1] = 0
    return own.shape == ddim.alphas_cumprod.shape and torch.allclose(own, ddim.alphas_cumprod.float(), atol=1e-6)


def entry(cls, settings):
    with tempfile.TemporaryDirectory() as folder:
        scheduler = made(cls, settings)
        scheduler.save_pretrained(folder)
        with open(os.path.join(folder, "scheduler_config.json")) as f:
            config = json.load(f)
        result = dict(config=config, reads=False)
        try:
            ddim = diffusers.DDIMScheduler.from_pretrained(folder)
        except Exception:
            return result
    if not reads(scheduler, config, ddim):
        return result
    diffusers.StableDiffusionPipeline(None, None, None, None, ddim, None, None, requires_safety_checker=False)
    ddim.set_timesteps(STEPS)
    return dict(config=config, reads=True, timesteps=ddim.timesteps.tolist(),
                alphas_cumprod=ddim.alphas_cumprod[ddim.timesteps].double().tolist(),
                final_alpha_cumprod=ddim.final_alpha_cumprod.item(), prediction_type=ddim.config.prediction_type,
                thresholding=ddim.config.thresholding, clip_sample=ddim.config.clip_sample)


def main():
    out, seen = [], set()
    for _, cls in classes():
        for settings in ({}, SD_BETAS, {**SD_BETAS, **V_ZERO}, dict(timestep_spacing="leading", steps_offset=1),
                         dict(clip_sample=True, thresholding=True), dict(beta_schedule="squaredcos_cap_v2"), FLOW,
                         dict(trained_betas=[round(1e-4 + 2e-5 * k, 6) for k in range(10)], num_train_timesteps=10),
                         dict(use_karras_sigmas=True, algorithm_type="sde-dpmsolver++", variance_type="fixed_large"),
                         dict(prediction_type="v_prediction", timestep_type="continuous")):
            if any(k in inspect.signature(cls.__init__).parameters for k in settings) or not settings:
                try:
                    e = entry(cls, settings)
                except (ValueError, NotImplementedError, TypeError):  # a setting that this class refuses
                    continue
                text = json.dumps(e, sort_keys=True)
                if text not in seen:
                    seen.add(text)
                    out.append(text)
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "schedulers.json")
    with open(path, "w") as f:
        f.write('{"diffusers": "%s", "steps": %d, "files": [\n' % (diffusers.__version__, STEPS))
        f.write(",\n".join(out) + "\n]}\n")
    print(len(out), "files,", sum('"reads": true' in t for t in out), "are read")


main()
