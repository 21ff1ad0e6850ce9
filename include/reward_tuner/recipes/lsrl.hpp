// Large-scale reinforcement learning and the methods it is compared with, as its paper runs them.
#pragma once
#include <reward_tuner/methods/draft_lv.hpp>
#include <reward_tuner/methods/lsrl.hpp>
#include <reward_tuner/methods/refl.hpp>
#include <reward_tuner/methods/reward_weighted.hpp>
#include <reward_tuner/recipes/recipe.hpp>

namespace reward_tuner::recipes {

namespace detail {

/// "For all the experiments" (large-scale RL paper, appendix A).
inline AdamWOptions lsrl_adamw(double learning_rate) {
  return {.learning_rate = learning_rate, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 1e-2};
}

}  // namespace detail

/// Large-scale RL on Stable Diffusion 2 (Zhang et al. 2024, Alg. 1, appendix A and Table 6): `make<LSRL>(reward,
/// lsrl())`. The recipe has no images of its own: set regularizer.images, or MultiTaskOptions::pretraining with several
/// tasks; the paper's are 12 million of LAION-5B with an aesthetic score of 6 or more.
inline Recipe<OptionsOf<LSRL>> lsrl() {
  Recipe<OptionsOf<LSRL>> r;
  r.sampler = {.num_steps = 50, .guidance = 7.0, .eta = 1.0};  // appendix A: DDIM; eta: ours, the steps need noise
  r.steps = {.num_trained = 5};                                // appendix A
  r.objective = {.clip_nats = 1.64,                            // appendix A: 1e-4, of a mean over 4*64*64
                 .round = {.samples_per_prompt = 16,           // appendix A, section 4.2
                           .epochs = 1,
                           .step_per_timestep = true,  // appendix A: "5 gradient updates per iteration"
                           .step_weights = StepWeights::kEqual}};
  r.regularizer = {.weight = 1.0,                          // beta is not given; ours
                   .batch = 16,                            // Table 6: a device's; there were 128
                   .mode = PretrainingMode::kAlternating,  // Alg. 1
                   .dropout = 0.1};                        // Stable Diffusion's own training
  r.engine = {.micro_batch = 16, .gradient_clip = 1.0};    // Table 6: a device's; clip not given, ddpo-pytorch's
  r.adamw = detail::lsrl_adamw(2e-6);                      // Table 6
  r.batch = 128;                                           // appendix A: 16 x 128 samples an iteration
  r.updates = 1000;  // section 4.1 and Fig. 27: converges in as few as 1,000 steps
  return r;
}

/// RAFT (Zhang et al. 2024, Table 6; Dong et al. 2023):
/// `make<RewardWeightedTraining, PretrainingLoss>(reward, raft())`. The batch is that of one device; the paper has 128.
inline Recipe<OptionsOf<RewardWeightedTraining, PretrainingLoss>> raft() {
  Recipe<OptionsOf<RewardWeightedTraining, PretrainingLoss>> r;
  r.sampler = {.num_steps = 50, .guidance = 7.0, .eta = 0.0};  // appendix A, Table 6: DDIM
  r.objective = {.weighting = RewardWeighting::kBest,
                 .best = 1,        // Table 6: acceptance ratio 1/24
                 .frozen = false,  // Dong et al. 2023: the present model's images
                 .round = {.samples_per_prompt = 24, .epochs = 1, .updates_per_epoch = 1}};  // Table 6
  r.regularizer = {.weight = 1.0,                                                            // not given; ours
                   .batch = 32,                                                              // Table 6
                   .mode = PretrainingMode::kJoint};                                         // ours
  r.engine = {.micro_batch = 32, .gradient_clip = 1.0};                                      // Table 6; clip not given
  r.adamw = detail::lsrl_adamw(3e-6);                                                        // Table 6
  r.batch = 32;                                                                              // Table 6
  return r;
}

/// Reward-weighted training (Zhang et al. 2024, appendix A and Table 6; Lee et al. 2023):
/// `make<RewardWeightedTraining, PretrainingLoss>(reward, reward_weighted())`. The batch is that of one device.
inline Recipe<OptionsOf<RewardWeightedTraining, PretrainingLoss>> reward_weighted() {
  Recipe<OptionsOf<RewardWeightedTraining, PretrainingLoss>> r;
  r.sampler = {.num_steps = 50, .guidance = 7.0, .eta = 0.0};  // appendix A, Table 6: DDIM
  r.objective = {.weighting = RewardWeighting::kMinMax,        // appendix A
                 .frozen = true,                               // appendix A: "using the original SDv2 model"
                 .round = {.samples_per_prompt = 1, .epochs = 1, .updates_per_epoch = 1}};
  r.regularizer = {.weight = 0.5,                        // Table 6: beta
                   .batch = 16,                          // Table 6
                   .mode = PretrainingMode::kJoint};     // Lee et al. 2023, Eq. 4: one sum
  r.engine = {.micro_batch = 16, .gradient_clip = 1.0};  // Table 6; clip not given
  r.adamw = detail::lsrl_adamw(1e-5);                    // Table 6
  r.batch = 16;                                          // Table 6
  return r;
}

/// ReFL with ImageReward as the reward (Xu et al. 2023, Alg. 1; Zhang et al. 2024, Table 6):
/// `make<ReFL, PretrainingLoss>(reward, refl())`. Its target is in ImageReward's units. The batch is one device's.
inline Recipe<OptionsOf<ReFL, PretrainingLoss>> refl() {
  Recipe<OptionsOf<ReFL, PretrainingLoss>> r;
  r.sampler = {.num_steps = 40, .guidance = 7.0, .eta = 0.0};  // Table 6: DDIM; appendix A
  r.steps = {.min_stop = 1, .max_stop = 10};                   // Table 6: [T1, T2]
  r.objective = {.scale = 1e-3,                                // Table 6: lambda
                 .loss = RewardLoss::kHinge,                   // Table 6: phi = ReLU
                 .target = 2};                                 // ImageReward, ImageReward/ReFL.py: relu(2 - r)
  r.regularizer = {.weight = 1.0,                              // Xu et al. 2023, Eq. 5
                   .batch = 12,                                // Table 6
                   .mode = PretrainingMode::kJoint};           // Xu et al. 2023, Eq. 5: one sum
  r.engine = {.gradient_clip = 1.0};                           // ImageReward/ReFL.py: max_grad_norm
  r.adamw = detail::lsrl_adamw(1e-5);                          // Table 6
  r.batch = 12;                                                // Table 6
  return r;
}

/// DRaFT-LV on Stable Diffusion 2 (Zhang et al. 2024, appendix A and Table 6): `make<DRaFTLV>(reward, draft_lv_sd2())`.
/// The batch is that of one device.
inline Recipe<OptionsOf<DRaFTLV>> draft_lv_sd2() {
  Recipe<OptionsOf<DRaFTLV>> r;
  r.sampler = {.num_steps = 50, .guidance = 7.0, .eta = 0.0};  // Table 6: DDIM; appendix A
  r.steps = {.num_noises = 2};                                 // Clark et al. 2024, section 4.2; Table 6: t_truncate 1
  r.engine = {.gradient_clip = 1.0};                           // not given; ours
  r.adamw = detail::lsrl_adamw(5e-5);                          // Table 6
  r.lora = {.rank = 32};                                       // Table 6
  r.batch = 3;                                                 // Table 6
  r.updates = 4000;                                            // Fig. 27: takes 4,000 steps to converge
  return r;
}

}  // namespace reward_tuner::recipes
