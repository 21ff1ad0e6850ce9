// Definitions of report/ and run/ that need no image codec.
#include <reward_tuner/report/bitmap_font.ipp>
#include <reward_tuner/report/curve_plot.ipp>
#include <reward_tuner/report/image_grid.ipp>
#include <reward_tuner/report/metrics_log.ipp>
#include <reward_tuner/report/progress_bar.ipp>
#include <reward_tuner/run/metric_names.ipp>
#include <reward_tuner/run/options_json.ipp>
#include <reward_tuner/run/prompt_file.ipp>
#include <reward_tuner/run/prompt_set.ipp>
#include <reward_tuner/run/prompt_stream.ipp>
#include <reward_tuner/run/run_fingerprint.ipp>
#include <reward_tuner/run/run_folder.ipp>
#include <reward_tuner/run/run_progress.ipp>
#include <reward_tuner/run/run_state.ipp>
#include <reward_tuner/run/stop_rules.ipp>
#include <reward_tuner/run/trainer_options.ipp>
#include <reward_tuner/run/tuner_state_json.ipp>
