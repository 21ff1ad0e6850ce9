// DPOK as its public code runs it.
#pragma once
#include <reward_tuner/methods/dpok.hpp>
#include <reward_tuner/recipes/recipe.hpp>

namespace reward_tuner::recipes {

/// DPOK on Stable Diffusion 1.5 and one prompt (Fan et al. 2023; google-research, dpok/train_online_pg.py):
/// `make<DPOK>(reward, dpok())`. The code trains on 24 transitions of a buffer of 1,000 in each of its five policy
/// steps; here a fifth of the round's images is trained in each.
inline Recipe<OptionsOf<DPOK>> dpok() {
  Recipe<OptionsOf<DPOK>> r;
  r.sampler = {.num_steps = 50, .guidance = 7.5, .eta = 1.0};  // the code's pipeline
  r.objective = {.reward_weight = 100,                         // reward_weight
                 .kl_weight = 0.01,                            // kl_weight
                 .clip_nats = 1.64,                            // ratio_clip 1e-4 of a mean over 4*64*64
                 .value = {.enabled = true,                    // v_flag
                           .learning_rate = 1e-4,              // v_lr
                           .steps = 5,                         // v_step
                           .batch = 256},                      // v_batch_size
                 .round = {.samples_per_prompt = 6,            // g_batch_size
                           .epochs = 1,
                           .updates_per_epoch = 5,  // p_step
                           .step_weights = StepWeights::kEqual}};
  r.engine = {.micro_batch = 2, .gradient_clip = 0.1};                               // p_batch_size, clip_norm
  r.adamw = {.learning_rate = 1e-5, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};  // learning_rate, adam_*
  r.lora = {.rank = 4};                                                              // lora_rank
  r.batch = 1;                                                                       // single_prompt
  r.updates = 10000;                                                                 // max_train_steps
  return r;
}

}  // namespace reward_tuner::recipes
