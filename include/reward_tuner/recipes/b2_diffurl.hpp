// B2-DiffuRL around DDPO, the policy gradient, DPOK and DPO.
#pragma once
#include <reward_tuner/methods/b2_diffurl.hpp>
#include <reward_tuner/objectives/kl_regularized.hpp>
#include <reward_tuner/objectives/preference.hpp>
#include <reward_tuner/objectives/reinforce.hpp>
#include <reward_tuner/recipes/recipe.hpp>

namespace reward_tuner::recipes {

namespace detail {

/// B2-paper, Table 6; what that leaves open is its code's, B2-DiffuRL: config/stage_process.py and run_process.sh.
template <class Objective>
Recipe<OptionsOf<B2DiffuRL, Objective>> b2_paper() {
  Recipe<OptionsOf<B2DiffuRL, Objective>> r;
  r.sampler = {.num_steps = 20, .guidance = 5.0, .eta = 1.0};  // Table 6
  r.steps = {.initial = 14};                                   // run_process.sh; not legible in Table 6
  r.branching = {.num_branches = 3, .threshold = 0.5};         // Table 6
  r.advantage = {.rounds = 8, .clamp = 5};                     // the code
  r.objective.round = {.samples_per_prompt = 1,                // the code: a prompt drawn for every root
                       .epochs = 2,                            // run_process.sh
                       .updates_per_epoch = 4,                 // Table 6: 2 images, 32 accumulation steps, of about 256
                       .step_weights = StepWeights::kEqual};
  r.engine = {.micro_batch = 8, .gradient_clip = 1.0};  // Table 6: batch size; the code: max_grad_norm
  r.adamw = {.learning_rate = 1e-4, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 1e-4};  // Table 6
  r.lora = {.rank = 4};                                                                                    // the code
  r.batch = 256;    // Table 6: batch size 8, batch count 32
  r.updates = 100;  // run_process.sh
  return r;
}

}  // namespace detail

/// B2-DiffuRL around DDPO on Stable Diffusion 1.4 (Hu et al. 2025, Table 6): `make<B2DiffuRL>(reward, b2_diffurl())`.
/// The code's clip range, 0.1 of a mean over 4*64*64, is 1,638 nats and never acts; DDPO's 1.64 stands in its place.
inline Recipe<OptionsOf<B2DiffuRL, ClippedRatio>> b2_diffurl() {
  auto r = detail::b2_paper<ClippedRatio>();
  r.objective.clip_nats = 1.64;  // ddpo-pytorch; ours here
  return r;
}

/// The same around the policy gradient, which has no clipping (App. D.1):
/// `make<B2DiffuRL, Reinforce>(reward, b2_pg())`.
inline Recipe<OptionsOf<B2DiffuRL, Reinforce>> b2_pg() {
  auto r = detail::b2_paper<Reinforce>();
  r.objective.importance_weighted = true;  // App. D.1
  return r;
}

/// The same around DPOK, whose value function gives way to the normalized rewards (App. D.1):
/// `make<B2DiffuRL, KlRegularized>(reward, b2_dpok())`. The paper does not give the two weights.
inline Recipe<OptionsOf<B2DiffuRL, KlRegularized>> b2_dpok() {
  auto r = detail::b2_paper<KlRegularized>();
  r.objective.reward_weight = 100;    // DPOK's code
  r.objective.kl_weight = 0.01;       // DPOK's code
  r.objective.clip_nats = 1.64;       // DPOK's code: 1e-4 of a mean over 4*64*64
  r.objective.value.enabled = false;  // App. D.1
  return r;
}

/// The same around online DPO: `make<B2DiffuRL, Preference>(reward, b2_dpo())`. The paper does not give beta.
inline Recipe<OptionsOf<B2DiffuRL, Preference>> b2_dpo() {
  auto r = detail::b2_paper<Preference>();
  r.objective.beta = 0.1;  // D3PO's code
  r.objective.reference = PreferenceReference::kSampling;
  return r;
}

}  // namespace reward_tuner::recipes
