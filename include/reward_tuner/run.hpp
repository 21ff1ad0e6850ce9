// The run above the library: trainer, evaluation, prompts, records and what they show.
// script/umbrella writes this list.
#pragma once

#include <reward_tuner/reward_tuner.hpp>

#include <reward_tuner/metrics/inception_score.hpp>
#include <reward_tuner/metrics/sentinels.hpp>

#include <reward_tuner/report/bitmap_font.hpp>
#include <reward_tuner/report/chrome_trace.hpp>
#include <reward_tuner/report/curve_plot.hpp>
#include <reward_tuner/report/image_file.hpp>
#include <reward_tuner/report/image_grid.hpp>
#include <reward_tuner/report/metrics_log.hpp>
#include <reward_tuner/report/png.hpp>
#include <reward_tuner/report/progress_bar.hpp>
#include <reward_tuner/report/stb_codec.hpp>
#include <reward_tuner/report/tensorboard.hpp>

#include <reward_tuner/run/best_evaluation.hpp>
#include <reward_tuner/run/captioned_images.hpp>
#include <reward_tuner/run/evaluation.hpp>
#include <reward_tuner/run/evaluation_rewards.hpp>
#include <reward_tuner/run/image_scores.hpp>
#include <reward_tuner/run/interrupt_guard.hpp>
#include <reward_tuner/run/judges.hpp>
#include <reward_tuner/run/kept_weights.hpp>
#include <reward_tuner/run/metric_names.hpp>
#include <reward_tuner/run/options_json.hpp>
#include <reward_tuner/run/prompt_file.hpp>
#include <reward_tuner/run/prompt_set.hpp>
#include <reward_tuner/run/prompt_stream.hpp>
#include <reward_tuner/run/rank_agreement.hpp>
#include <reward_tuner/run/run_fingerprint.hpp>
#include <reward_tuner/run/run_folder.hpp>
#include <reward_tuner/run/run_progress.hpp>
#include <reward_tuner/run/run_record.hpp>
#include <reward_tuner/run/run_state.hpp>
#include <reward_tuner/run/signal_meter.hpp>
#include <reward_tuner/run/signal_table.hpp>
#include <reward_tuner/run/stop_rules.hpp>
#include <reward_tuner/run/trained_weights.hpp>
#include <reward_tuner/run/trainer.hpp>
#include <reward_tuner/run/trainer_options.hpp>
#include <reward_tuner/run/tuner_state_json.hpp>
#include <reward_tuner/run/update_line.hpp>
#include <reward_tuner/run/update_trace.hpp>
