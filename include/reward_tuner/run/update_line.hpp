// An update on the progress bar.
#pragma once
#include <cstdint>

#include <reward_tuner/report/progress_bar.hpp>
#include <reward_tuner/tuner/update_report.hpp>

namespace reward_tuner {

/// Reward, norm of the gradient and, of a pipeline that can tell, the speed, with its share of `peak_tflops` unless
/// that is 0; warnings and reasons of skipped updates on lines of their own. `done`: updates so far, this one included.
void show_update(ProgressBar& bar, std::int64_t done, const UpdateReport& report, double peak_tflops);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/update_line.ipp>
#endif
