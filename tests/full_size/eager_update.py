"""DRTune updates the ordinary Python way, on diffusers modules with a peft LoRA: what bench_race is raced against.

usage: eager_update.py MODEL_FOLDER --steps T --side PIXELS [--trained-steps K] [--batch B] [--dtype float32|bfloat16]
       [--guidance W] [--rank R] [--threads N] [--memory retain|checkpoint] [--device cpu|cuda] [--channels-last]
       [--compile] [--warm-up N] [--updates N]                           (needs torch, diffusers, transformers, peft)

T steps of DDIM with guidance as one doubled batch, eta 1; the network's input is detached and K steps at equal
distances trained (of K = 1 the one in the middle); the VAE decodes, the symmetry loss is differentiated through the
decoder and the chain of sampler steps; the gradient is clipped and AdamW steps. In bfloat16 the frozen weights have
that type, but for a VAE with force_upcast, as here, and the LoRA is float32 under autocast. The text encoders are
dropped when the prompt is encoded.
Prints JSON: seconds of the updates, and the peak of live tensor bytes in the first of them over the state before, by
the profiler; on a card in all of them, by its allocator.
"""
import argparse
import gc
import json
import statistics
import time

import torch
from diffusers import DDIMScheduler, DiffusionPipeline
from peft import LoraConfig
from torch.profiler import ProfilerActivity, profile
from torch.utils.checkpoint import checkpoint

PROMPT = "a photo of a cat"


def symmetry_loss(images):
    return (images - images.flip(-1)).abs().mean((1, 2, 3)) / (images.std((1, 2, 3)) + 1e-6)


class Loop:
    def __init__(self, a):
        self.a, self.dtype, self.device = a, getattr(torch, a.dtype), torch.device(a.device)
        begin = time.perf_counter()
        pipe = DiffusionPipeline.from_pretrained(a.model, torch_dtype=self.dtype).to(self.device)
        self.load_seconds = time.perf_counter() - begin
        self.unet, self.vae = pipe.unet.requires_grad_(False), pipe.vae.requires_grad_(False)
        if self.vae.config.force_upcast:
            self.vae.to(torch.float32)
        self.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
        self.scheduler.set_timesteps(a.steps)
        self.unet.add_adapter(LoraConfig(r=a.rank, lora_alpha=a.rank, init_lora_weights="gaussian",
                                         target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
        self.trained = [p for p in self.unet.parameters() if p.requires_grad]
        for p in self.trained:
            p.data = p.data.float()
        if a.channels_last:
            self.unet.to(memory_format=torch.channels_last)
            self.vae.to(memory_format=torch.channels_last)
        self.network = torch.compile(self.unet) if a.compile else self.unet
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-5)
        self.added = None
        with torch.no_grad():
            if hasattr(pipe, "text_encoder_2"):
                states, no_states, pooled, no_pooled = pipe.encode_prompt(PROMPT)
                sizes = torch.tensor([[a.side, a.side, 0, 0, a.side, a.side]], dtype=states.dtype, device=self.device)
                self.added = {"text_embeds": self.rows(no_pooled, pooled), "time_ids": sizes.repeat(2 * a.batch, 1)}
            else:
                states, no_states = pipe.encode_prompt(PROMPT, self.device, 1, True)
            self.states = self.rows(no_states, states)

    def rows(self, without, with_prompt):
        """One of every image, without and with the prompt."""
        return torch.cat([t.repeat(self.a.batch, *[1] * (t.dim() - 1)) for t in (without, with_prompt)])

    def call(self, latent, timestep):
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            uncond, cond = self.network(torch.cat([latent, latent]), timestep, self.states,
                                        added_cond_kwargs=self.added, return_dict=False)[0].float().chunk(2)
        return uncond + self.a.guidance * (cond - uncond)

    def predict(self, latent, timestep, trained):
        if not trained:
            with torch.no_grad():
                return self.call(latent, timestep)
        if self.a.memory == "checkpoint":
            return checkpoint(self.call, latent, timestep, use_reentrant=False)
        return self.call(latent, timestep)

    def update(self):
        side, stride = self.a.side // 8, self.a.steps // self.a.trained_steps
        trained = {stride // 2 + i * stride for i in range(self.a.trained_steps)}
        latent = torch.randn(self.a.batch, 4, side, side, device=self.device)
        for k, timestep in enumerate(self.scheduler.timesteps):
            noise = self.predict(latent.detach(), timestep, k in trained)
            latent = self.scheduler.step(noise, timestep, latent, eta=1.0,
                                         variance_noise=torch.randn_like(latent)).prev_sample
        images = self.vae.decode((latent / self.vae.config.scaling_factor).to(self.vae.dtype)).sample.float()
        loss = symmetry_loss(images).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def timed(self):
        begin = time.perf_counter()
        self.update()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begin


def on_card(loop, count):
    """Seconds of updates, and the peak of their tensors by the allocator."""
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return [loop.timed() for _ in range(count)], torch.cuda.max_memory_allocated() - before


def on_cpu(loop, count):
    """Seconds of updates, and the peak of the first one's tensors by the profiler."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        seconds = [loop.timed()]
    live = peak = 0
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return seconds + [loop.timed() for _ in range(count - 1)], peak


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model")
    ap.add_argument("--steps", type=int, required=True)
    ap.add_argument("--side", type=int, required=True)
    ap.add_argument("--trained-steps", type=int, default=1)
    ap.add_argument("--batch", type=int, default=1)
    ap.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    ap.add_argument("--guidance", type=float, default=7.5)
    ap.add_argument("--rank", type=int, default=8)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--memory", choices=["retain", "checkpoint"], default="retain")
    ap.add_argument("--device", default="cpu")
    ap.add_argument("--channels-last", action="store_true", help="UNet and VAE")
    ap.add_argument("--compile", action="store_true", help="the UNet, by torch.compile")
    ap.add_argument("--warm-up", type=int, default=0, help="updates before the timed ones")
    ap.add_argument("--updates", type=int, default=1, help="timed ones")
    a = ap.parse_args()
    if not 1 <= a.trained_steps <= a.steps:
        ap.error(f"--trained-steps expected 1..{a.steps}, got {a.trained_steps}")
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    loop = Loop(a)
    for _ in range(a.warm_up):
        loop.update()
    gc.collect()
    seconds, peak = (on_card if loop.device.type == "cuda" else on_cpu)(loop, a.updates)
    print(json.dumps({"load_seconds": loop.load_seconds, "seconds": statistics.median(seconds),
                      "updates": [{"wall": s} for s in seconds], "peak_tensor_bytes": peak,
                      "torch": torch.__version__}))


if __name__ == "__main__":
    main()
