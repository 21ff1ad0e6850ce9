// Definitions of update_line.hpp.
#pragma once
#include <reward_tuner/run/update_line.hpp>

#include <cstdio>
#include <string>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

inline std::string formatted(const char* format, double value) {
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

}  // namespace detail

REWARD_TUNER_INLINE void show_update(ProgressBar& bar, std::int64_t done, const UpdateReport& report,
                                     double peak_tflops) {
  ProgressBar::Fields fields{{"reward", detail::formatted("%.4f", report.reward)},
                             {"grad", detail::formatted("%.2e", report.gradient_norm)}};
  if (report.flops.total() > 0) {
    const double rate = tflop_per_second(report);
    std::string speed = detail::formatted("%.3g", rate);
    if (peak_tflops > 0) speed += detail::formatted(" (%.3g%% of peak)", 100 * rate / peak_tflops);
    fields.emplace_back("TFLOP/s", speed);
  }
  bar.update(done, fields);
  const std::string update = "update " + std::to_string(report.update);
  if (!report.warning.empty()) bar.note(update + ": " + report.warning);
  if (!report.skip_reason.empty())  // of several tasks one may fail alone
    bar.note(update + (report.skipped ? " skipped: " : " failed: ") + report.skip_reason);
}

}  // namespace reward_tuner
