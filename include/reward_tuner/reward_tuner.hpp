// The whole library, floor by floor. script/umbrella writes this list.
#pragma once

#include <reward_tuner/core/advantage_input.hpp>
#include <reward_tuner/core/branch_choice.hpp>
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/explain.hpp>
#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/core/require.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/core/round_options.hpp>
#include <reward_tuner/core/sampler_schedule.hpp>
#include <reward_tuner/core/step_plan.hpp>
#include <reward_tuner/core/surrogate.hpp>
#include <reward_tuner/core/version.hpp>

#include <reward_tuner/backend/activation_checkpoint.hpp>
#include <reward_tuner/backend/adamw.hpp>
#include <reward_tuner/backend/adaptable_layer.hpp>
#include <reward_tuner/backend/atomic_file.hpp>
#include <reward_tuner/backend/autocast.hpp>
#include <reward_tuner/backend/checkpoint.hpp>
#include <reward_tuner/backend/ema.hpp>
#include <reward_tuner/backend/frozen_ops.hpp>
#include <reward_tuner/backend/json_config.hpp>
#include <reward_tuner/backend/lora.hpp>
#include <reward_tuner/backend/lora_files.hpp>
#include <reward_tuner/backend/memory_meter.hpp>
#include <reward_tuner/backend/rng.hpp>
#include <reward_tuner/backend/safetensors.hpp>
#include <reward_tuner/backend/safetensors_header.hpp>
#include <reward_tuner/backend/weights.hpp>

#include <reward_tuner/io/bitmap_font.hpp>
#include <reward_tuner/io/captioned_pictures.hpp>
#include <reward_tuner/io/curve_plot.hpp>
#include <reward_tuner/io/image_grid.hpp>
#include <reward_tuner/io/json_file.hpp>
#include <reward_tuner/io/metrics_log.hpp>
#include <reward_tuner/io/png.hpp>
#include <reward_tuner/io/progress_bar.hpp>
#include <reward_tuner/io/stb_codec.hpp>
#include <reward_tuner/io/tensorboard.hpp>

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
#include <reward_tuner/models/embeddings.hpp>
#include <reward_tuner/models/initialise.hpp>
#include <reward_tuner/models/layers.hpp>
#include <reward_tuner/models/resnet.hpp>
#include <reward_tuner/models/rollout_mode.hpp>
#include <reward_tuner/models/scheduler_config.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>
#include <reward_tuner/models/unet_2d_condition_config.hpp>
#include <reward_tuner/models/unet_blocks.hpp>
#include <reward_tuner/models/unicode.hpp>
#include <reward_tuner/models/vae_blocks.hpp>

#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/ddpm.hpp>

#include <reward_tuner/gradient_stop/pass_input.hpp>
#include <reward_tuner/gradient_stop/stop_input.hpp>

#include <reward_tuner/step_selection/all_steps.hpp>
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
#include <reward_tuner/rewards/colourfulness.hpp>
#include <reward_tuner/rewards/jpeg_error.hpp>
#include <reward_tuner/rewards/jpeg_round_trip.hpp>
#include <reward_tuner/rewards/jpeg_size.hpp>
#include <reward_tuner/rewards/leaky_clamp.hpp>
#include <reward_tuner/rewards/picture_background.hpp>
#include <reward_tuner/rewards/random_shift.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/sentinels.hpp>
#include <reward_tuner/rewards/shape_detector.hpp>
#include <reward_tuner/rewards/shape_geometry.hpp>
#include <reward_tuner/rewards/shape_reward.hpp>
#include <reward_tuner/rewards/shape_vocabulary.hpp>
#include <reward_tuner/rewards/standardised.hpp>
#include <reward_tuner/rewards/symmetry.hpp>
#include <reward_tuner/rewards/takes_clip.hpp>
#include <reward_tuner/rewards/weighted_sum.hpp>

#include <reward_tuner/objectives/direct_gradient.hpp>

#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/regularizers/no_regularizer.hpp>
#include <reward_tuner/regularizers/pretraining_loss.hpp>

#include <reward_tuner/engine/adjoint.hpp>
#include <reward_tuner/engine/configured_pipeline.hpp>
#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/engine/reward_gradient.hpp>
#include <reward_tuner/engine/rollout.hpp>
#include <reward_tuner/engine/sample_noise.hpp>
#include <reward_tuner/engine/sampler_step.hpp>

#include <reward_tuner/tuner/any_sampler.hpp>
#include <reward_tuner/tuner/direct_method.hpp>
#include <reward_tuner/tuner/evaluation.hpp>
#include <reward_tuner/tuner/evaluation_rewards.hpp>
#include <reward_tuner/tuner/interrupt_guard.hpp>
#include <reward_tuner/tuner/optimizer_concept.hpp>
#include <reward_tuner/tuner/prompt_set.hpp>
#include <reward_tuner/tuner/reward_tuner.hpp>
#include <reward_tuner/tuner/run_fingerprint.hpp>
#include <reward_tuner/tuner/run_folder.hpp>
#include <reward_tuner/tuner/run_progress.hpp>
#include <reward_tuner/tuner/run_record.hpp>
#include <reward_tuner/tuner/trained_weights.hpp>
#include <reward_tuner/tuner/trainer.hpp>
#include <reward_tuner/tuner/trainer_options.hpp>
#include <reward_tuner/tuner/tuner_state.hpp>
#include <reward_tuner/tuner/update_report.hpp>

#include <reward_tuner/methods/alignprop.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/draft_lv.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/methods/refl.hpp>
