// DRTune and the methods it is compared with, as its paper runs them.
#pragma once
#include <reward_tuner/methods/alignprop.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/draft_lv.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/methods/refl.hpp>
#include <reward_tuner/recipes/recipe.hpp>
#include <reward_tuner/samplers/ddpm.hpp>
#include <reward_tuner/samplers/dpm_solver.hpp>

namespace reward_tuner::recipes {

namespace detail {

/// "A unified hyperparameter setting for all baselines" (DRTune-paper, section 4.1).
template <template <class...> class Method>
Recipe<OptionsOf<Method, Ddpm>> drtune_paper() {
  Recipe<OptionsOf<Method, Ddpm>> r;
  r.sampler.num_steps = 50;                       // section 4.1, with DDPM
  r.sampler.guidance = 7.5;                       // section 4.1
  r.engine = {.micro_batch = 8,                   // a quarter of the batch: section 4.1 has 4 devices
              .gradient_clip = 0.1,               // section 4.1
              .activation_checkpointing = true};  // section 4.1
  r.adamw = {.learning_rate = 2e-5,               // section 4.1, constant
             .beta1 = 0.9,                        // section 4.1
             .beta2 = 0.999};                     // section 4.1
  r.lora = {.rank = 128};                         // section 4.1; alpha and target layers are not given
  r.batch = 32;                                   // section 4.1
  return r;                                       // trained for 2 hours on 4 A100 (section 4.1): no number of updates
}

}  // namespace detail

/// DRTune on Stable Diffusion 1.5 (Wu et al. 2024, sections 4.1 and 4.2): `make<DRTune, Ddpm>(reward, drtune_sd15())`.
/// The paper freezes weights in half precision; load the pipeline with that dtype.
inline Recipe<OptionsOf<DRTune, Ddpm>> drtune_sd15() {
  auto r = detail::drtune_paper<DRTune>();
  r.steps = {.num_trained = 5,       // section 4.1; 0.1 T (section 4.2)
             .max_early_stop = 20};  // section 4.2: 0.4 T; section 4.1 says "without early termination", Alg. 1 has it
  return r;
}

/// DRTune on Stable Diffusion 2.1: `make<DRTune, Ddpm>(reward, drtune_sd21())`. The paper tunes 1.5 and XL; these are
/// its numbers for 1.5, of which it says that they serve every baseline (section 4.1). The prediction of the velocity
/// and the schedule are the model's own.
inline Recipe<OptionsOf<DRTune, Ddpm>> drtune_sd21() { return drtune_sd15(); }

/// Favorable Diffusion XL 1.0 (Wu et al. 2024, section 4.3): DRTune on SDXL 1.0 with HPS v2.1 at 1024 pixels:
/// `make<DRTune, DpmSolver>(randomly_shifted(reward, 5), drtune_fdxl())` with HpsReward.
inline Recipe<OptionsOf<DRTune, DpmSolver>> drtune_fdxl() {
  Recipe<OptionsOf<DRTune, DpmSolver>> r;
  r.sampler.num_steps = 25;                       // section 4.3
  r.sampler.guidance = 5.0;                       // section 4.3
  r.sampler.noise = false;                        // section 4.3: DPM-Solver++, of which it says no more
  r.sampler.order = 2;                            // 2M, diffusers' default of the class
  r.steps = {.num_trained = 3,                    // section 4.3
             .max_early_stop = 10};               // section 4.2: 0.4 T
  r.engine = {.micro_batch = 2,                   // section 4.3: batch size of a device
              .gradient_clip = 0.1,               // section 4.1, "all other settings remain"
              .activation_checkpointing = true};  // section 4.1
  r.adamw = {.learning_rate = 5e-6,               // section 4.3
             .beta1 = 0.9,                        // section 4.1
             .beta2 = 0.999};                     // section 4.1
  r.lora = {.rank = 128};                         // section 4.1
  r.batch = 64;                                   // section 4.3: 2, 4 accumulation steps, 8 devices
  r.updates = 1900;                               // section 4.3
  r.random_shift = 5;                             // section 4.3: ceil(1024 / 224), images over HPS's input
  r.saved_strength = 0.7;                         // section 4.3
  return r;
}

/// DRaFT-K (DRTune-paper, Table 1: K = 10): `make<DRaFT, Ddpm>(reward, draft_sd15())`.
inline Recipe<OptionsOf<DRaFT, Ddpm>> draft_sd15() {
  auto r = detail::drtune_paper<DRaFT>();
  r.steps = {.num_trained = 10};  // Table 1
  return r;
}

/// DRaFT-LV (DRTune-paper, section 4.2: "sampling the last step twice with different noise"):
/// `make<DRaFTLV, Ddpm>(reward, draft_lv_sd15())`.
inline Recipe<OptionsOf<DRaFTLV, Ddpm>> draft_lv_sd15() {
  auto r = detail::drtune_paper<DRaFTLV>();
  r.steps = {.num_noises = 2};  // section 4.2; Clark et al. 2024, section 4.2
  return r;
}

/// ReFL-10 (DRTune-paper, Table 1): `make<ReFL, Ddpm>(reward, refl_sd15())`. For ReFL-20 set steps.max_stop = 20.
/// The loss is -r as of the other methods: Table 1's rewards have no common target.
inline Recipe<OptionsOf<ReFL, Ddpm>> refl_sd15() {
  auto r = detail::drtune_paper<ReFL>();
  r.steps = {.min_stop = 1,    // Alg. 1, line 8
             .max_stop = 10};  // Table 1
  return r;
}

/// AlignProp (DRTune-paper, Table 1 and section 3.2): `make<AlignProp, Ddpm>(reward, alignprop_sd15())`.
inline Recipe<OptionsOf<AlignProp, Ddpm>> alignprop_sd15() {
  auto r = detail::drtune_paper<AlignProp>();
  r.steps = {.draw = HorizonDraw::kPerStep};  // section 3.2: a random subset of the steps, T/2 on average
  r.engine.micro_batch = 4;                   // section 4.1: two accumulation steps for its memory
  return r;
}

}  // namespace reward_tuner::recipes
