// DDPO as its public code runs it.
#pragma once
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/recipes/recipe.hpp>

namespace reward_tuner::recipes {

/// DDPO on Stable Diffusion 1.4 (Black et al. 2024; ddpo-pytorch, config/base.py and `aesthetic` of config/dgx.py):
/// `make<DDPO>(reward, ddpo())`. The clip range is in nats, so that it means the same at any latent's size.
inline Recipe<OptionsOf<DDPO>> ddpo() {
  Recipe<OptionsOf<DDPO>> r;
  r.sampler = {.num_steps = 50, .guidance = 5.0, .eta = 1.0};  // base.py
  r.objective = {.clip_nats = 1.64,                            // base.py: clip_range 1e-4 of a mean over 4*64*64
                 .round = {.samples_per_prompt = 1,            // train.py draws a prompt for every image
                           .epochs = 1,                        // base.py: num_inner_epochs
                           .updates_per_epoch = 2,             // dgx.py, aesthetic; compressibility has 4
                           .step_weights = StepWeights::kEqual}};
  r.advantage = {.window = 32, .min_count = 16, .clamp = 5};  // dgx.py, aesthetic; base.py: adv_clip_max
  r.engine = {.micro_batch = 8, .gradient_clip = 1.0};        // dgx.py: images of a device; base.py: max_grad_norm
  r.adamw = {.learning_rate = 3e-4, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 1e-4};  // base.py
  r.lora = {.rank = 4};  // the code's LoRA layers
  r.batch = 256;         // dgx.py: 8 devices, 8 images, 4 batches
  r.updates = 200;       // dgx.py, aesthetic: num_epochs
  return r;
}

}  // namespace reward_tuner::recipes
