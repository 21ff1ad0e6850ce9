// The library, floor by floor: models, policies, rewards, the tuner, the methods and their recipes.
// script/umbrella writes this list.
#pragma once

#include <reward_tuner/core/advantage_input.hpp>
#include <reward_tuner/core/branch_choice.hpp>
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/explain.hpp>
#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/core/objective_context.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/permutation.hpp>
#include <reward_tuner/core/policy_traits.hpp>
#include <reward_tuner/core/prompt_groups.hpp>
#include <reward_tuner/core/require.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/core/round_options.hpp>
#include <reward_tuner/core/sampler_schedule.hpp>
#include <reward_tuner/core/step_plan.hpp>
#include <reward_tuner/core/surrogate.hpp>
#include <reward_tuner/core/text_digest.hpp>
#include <reward_tuner/core/version.hpp>

#include <reward_tuner/tensor/autocast.hpp>
#include <reward_tuner/tensor/memory_meter.hpp>
#include <reward_tuner/tensor/rng.hpp>
#include <reward_tuner/tensor/tensor.hpp>

#include <reward_tuner/layers/activation_checkpoint.hpp>
#include <reward_tuner/layers/adaptable_layer.hpp>
#include <reward_tuner/layers/adapted_linear.hpp>
#include <reward_tuner/layers/dot_product_attention.hpp>
#include <reward_tuner/layers/frozen_ops.hpp>
#include <reward_tuner/layers/new_weights.hpp>
#include <reward_tuner/layers/upsampled_conv.hpp>

#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/optim/ema.hpp>
#include <reward_tuner/optim/optimizer_concept.hpp>
#include <reward_tuner/optim/optimizer_step.hpp>

#include <reward_tuner/files/atomic_file.hpp>
#include <reward_tuner/files/checkpoint.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/files/json_line.hpp>
#include <reward_tuner/files/output_path.hpp>
#include <reward_tuner/files/part_copy.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/safetensors_header.hpp>
#include <reward_tuner/files/text_file.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/files/weights_folder.hpp>
#include <reward_tuner/files/weights_index.hpp>
#include <reward_tuner/files/weights_source.hpp>

#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/lora/lora_files.hpp>
#include <reward_tuner/lora/lora_names.hpp>
#include <reward_tuner/lora/peft_config.hpp>

#include <reward_tuner/models/attention.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/byte_pair_encoding.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/clip_encoder.hpp>
#include <reward_tuner/models/clip_image.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/clip_tokenizer.hpp>
#include <reward_tuner/models/clip_tokenizer_files.hpp>
#include <reward_tuner/models/clip_vision.hpp>
#include <reward_tuner/models/condition.hpp>
#include <reward_tuner/models/config_limits.hpp>
#include <reward_tuner/models/denoising_errors.hpp>
#include <reward_tuner/models/embeddings.hpp>
#include <reward_tuner/models/initialize.hpp>
#include <reward_tuner/models/layers.hpp>
#include <reward_tuner/models/network_scopes.hpp>
#include <reward_tuner/models/pipeline_corrections.hpp>
#include <reward_tuner/models/pipeline_family.hpp>
#include <reward_tuner/models/pipeline_lora.hpp>
#include <reward_tuner/models/prompt_encoder.hpp>
#include <reward_tuner/models/resnet.hpp>
#include <reward_tuner/models/rollout_mode.hpp>
#include <reward_tuner/models/scheduler_config.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>
#include <reward_tuner/models/unet_2d_condition_config.hpp>
#include <reward_tuner/models/unet_blocks.hpp>
#include <reward_tuner/models/unicode.hpp>
#include <reward_tuner/models/vae_blocks.hpp>

#include <reward_tuner/samplers/any_sampler.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/ddpm.hpp>

#include <reward_tuner/gradient_stop/pass_input.hpp>
#include <reward_tuner/gradient_stop/stop_input.hpp>

#include <reward_tuner/step_selection/all_steps.hpp>
#include <reward_tuner/step_selection/backward_window.hpp>
#include <reward_tuner/step_selection/last_steps.hpp>
#include <reward_tuner/step_selection/late_jump.hpp>
#include <reward_tuner/step_selection/noised_tail.hpp>
#include <reward_tuner/step_selection/random_horizon.hpp>
#include <reward_tuner/step_selection/random_steps.hpp>
#include <reward_tuner/step_selection/spread_steps.hpp>

#include <reward_tuner/exploration/diffexp.hpp>
#include <reward_tuner/exploration/dynamic_guidance.hpp>
#include <reward_tuner/exploration/exploration_span.hpp>
#include <reward_tuner/exploration/no_exploration.hpp>
#include <reward_tuner/exploration/prompt_weighting.hpp>

#include <reward_tuner/rewards/aesthetic.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/rewards/brightness.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/clamped.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/rewards/colorfulness.hpp>
#include <reward_tuner/rewards/jpeg_error.hpp>
#include <reward_tuner/rewards/jpeg_round_trip.hpp>
#include <reward_tuner/rewards/leaky_clamp.hpp>
#include <reward_tuner/rewards/parity.hpp>
#include <reward_tuner/rewards/per_image.hpp>
#include <reward_tuner/rewards/random_shift.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/standardized.hpp>
#include <reward_tuner/rewards/symmetry.hpp>
#include <reward_tuner/rewards/takes_clip.hpp>
#include <reward_tuner/rewards/weighted_sum.hpp>

#include <reward_tuner/objectives/clip_range.hpp>
#include <reward_tuner/objectives/clipped_ratio.hpp>
#include <reward_tuner/objectives/direct_gradient.hpp>
#include <reward_tuner/objectives/kl_regularized.hpp>
#include <reward_tuner/objectives/policy_rows.hpp>
#include <reward_tuner/objectives/preference.hpp>
#include <reward_tuner/objectives/reinforce.hpp>
#include <reward_tuner/objectives/reward_weighted.hpp>

#include <reward_tuner/advantages/history.hpp>
#include <reward_tuner/advantages/moments.hpp>
#include <reward_tuner/advantages/per_batch.hpp>
#include <reward_tuner/advantages/per_group.hpp>
#include <reward_tuner/advantages/per_prompt.hpp>

#include <reward_tuner/branching/best_and_worst.hpp>
#include <reward_tuner/branching/no_branching.hpp>

#include <reward_tuner/regularizers/captioned_image_source.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/regularizers/no_regularizer.hpp>
#include <reward_tuner/regularizers/pretraining_loss.hpp>

#include <reward_tuner/engine/adjoint.hpp>
#include <reward_tuner/engine/clean_samples.hpp>
#include <reward_tuner/engine/condition_gradient.hpp>
#include <reward_tuner/engine/condition_source.hpp>
#include <reward_tuner/engine/configured_pipeline.hpp>
#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/engine/log_prob.hpp>
#include <reward_tuner/engine/per_step.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/engine/policy_gradient.hpp>
#include <reward_tuner/engine/reward_gradient.hpp>
#include <reward_tuner/engine/reward_values.hpp>
#include <reward_tuner/engine/rollout.hpp>
#include <reward_tuner/engine/rollout_setup.hpp>
#include <reward_tuner/engine/row_call.hpp>
#include <reward_tuner/engine/sample_noise.hpp>
#include <reward_tuner/engine/sampler_step.hpp>
#include <reward_tuner/engine/trained_rows.hpp>
#include <reward_tuner/engine/transitions.hpp>
#include <reward_tuner/engine/value_baseline.hpp>

#include <reward_tuner/tuner/denoising_round.hpp>
#include <reward_tuner/tuner/direct_update.hpp>
#include <reward_tuner/tuner/idle_round.hpp>
#include <reward_tuner/tuner/log_prob_round.hpp>
#include <reward_tuner/tuner/method.hpp>
#include <reward_tuner/tuner/micro_batches.hpp>
#include <reward_tuner/tuner/multi_task.hpp>
#include <reward_tuner/tuner/own_loss.hpp>
#include <reward_tuner/tuner/reward_tuner.hpp>
#include <reward_tuner/tuner/round.hpp>
#include <reward_tuner/tuner/round_rules.hpp>
#include <reward_tuner/tuner/round_sampling.hpp>
#include <reward_tuner/tuner/round_selection.hpp>
#include <reward_tuner/tuner/round_training.hpp>
#include <reward_tuner/tuner/row_advantages.hpp>
#include <reward_tuner/tuner/running_update.hpp>
#include <reward_tuner/tuner/surrogate_rules.hpp>
#include <reward_tuner/tuner/tuner_parts.hpp>
#include <reward_tuner/tuner/tuner_policies.hpp>
#include <reward_tuner/tuner/tuner_state.hpp>
#include <reward_tuner/tuner/update_report.hpp>

#include <reward_tuner/methods/alignprop.hpp>
#include <reward_tuner/methods/b2_diffurl.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/dpo.hpp>
#include <reward_tuner/methods/dpok.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/draft_lv.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/methods/grpo.hpp>
#include <reward_tuner/methods/lsrl.hpp>
#include <reward_tuner/methods/policy_gradient.hpp>
#include <reward_tuner/methods/refl.hpp>
#include <reward_tuner/methods/reward_weighted.hpp>

#include <reward_tuner/recipes/b2_diffurl.hpp>
#include <reward_tuner/recipes/ddpo.hpp>
#include <reward_tuner/recipes/diffexp.hpp>
#include <reward_tuner/recipes/dpok.hpp>
#include <reward_tuner/recipes/drtune.hpp>
#include <reward_tuner/recipes/lsrl.hpp>
#include <reward_tuner/recipes/recipe.hpp>
