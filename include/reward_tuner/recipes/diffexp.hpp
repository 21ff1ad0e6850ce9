// DiffExp around DDPO and around AlignProp.
#pragma once
#include <reward_tuner/exploration/diffexp.hpp>
#include <reward_tuner/methods/alignprop.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/recipes/recipe.hpp>

namespace reward_tuner::recipes {

namespace detail {

/// What DiffExp explores by. Its paper prints neither the low scale nor the threshold nor the range of weights.
inline DiffExpOptions diffexp_paper() {
  return {.guidance = {.low = 1.0,         // "extremely low": ours, the condition alone
                       .threshold = 0.9},  // ours: the first tenth of the steps
          .words = {.low = 1.0,            // ours
                    .high = 1.5},          // ours; beyond 1.6 images break
          .span = {.share = 0.75}};        // "implementation details": three quarters of the fine-tuning
}

}  // namespace detail

/// DiffExp around DDPO on Stable Diffusion 1.5 (Chae et al. 2025, appendix B; "based on the implementation of the
/// baseline", ddpo-pytorch): `make<DDPO, DiffExp>(reward, diffexp_ddpo())`.
inline Recipe<OptionsOf<DDPO, DiffExp>> diffexp_ddpo() {
  Recipe<OptionsOf<DDPO, DiffExp>> r;
  r.sampler = {.num_steps = 50, .guidance = 5.0, .eta = 1.0};  // appendix B; eta: ddpo-pytorch
  r.exploration = detail::diffexp_paper();
  r.objective = {.clip_nats = 1.64,                  // appendix B: 1e-4, of a mean over 4*64*64
                 .round = {.samples_per_prompt = 1,  // ddpo-pytorch
                           .epochs = 1,              // ddpo-pytorch
                           .updates_per_epoch = 2,   // ddpo-pytorch, aesthetic
                           .step_weights = StepWeights::kEqual}};
  r.advantage = {.window = 32, .min_count = 16, .clamp = 5};                              // ddpo-pytorch, aesthetic
  r.engine = {.micro_batch = 8, .gradient_clip = 1.0};                                    // ddpo-pytorch
  r.adamw = {.learning_rate = 3e-4, .beta1 = 0.9, .beta2 = 0.999, .weight_decay = 1e-4};  // appendix B; ddpo-pytorch
  r.lora = {.rank = 4};                                                                   // ddpo-pytorch
  r.batch = 64;  // appendix B: images of an iteration
  return r;
}

/// DiffExp around AlignProp on Stable Diffusion 1.5 (Chae et al. 2025, appendix B; AlignProp's code of 2023 for what
/// that leaves open) with aesthetic scores: `make<AlignProp, DiffExp>(reward, diffexp_alignprop())`. For rewards of
/// another scale set objective.target, beyond which rewards are pulled back.
inline Recipe<OptionsOf<AlignProp, DiffExp>> diffexp_alignprop() {
  Recipe<OptionsOf<AlignProp, DiffExp>> r;
  r.sampler = {.num_steps = 50, .guidance = 7.5, .eta = 0.0};  // appendix B; eta: AlignProp's code
  r.steps = {.draw = HorizonDraw::kPerStep};                   // AlignProp's code
  r.exploration = detail::diffexp_paper();
  r.objective = {.scale = 1e-2, .loss = RewardLoss::kDistance, .target = 10};             // AlignProp's code: aesthetic
  r.engine = {.micro_batch = 4, .gradient_clip = 5.0, .activation_checkpointing = true};  // AlignProp's code
  r.adamw = {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .weight_decay = 0.1};   // appendix B; the code
  r.lora = {.rank = 4};                                                                   // AlignProp's code
  r.batch = 64;  // appendix B: images of an iteration
  return r;
}

}  // namespace reward_tuner::recipes
