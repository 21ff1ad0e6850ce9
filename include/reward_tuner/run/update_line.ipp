// Definitions of update_line.hpp.
#pragma once
#include <reward_tuner/run/update_line.hpp>

#include <string>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/number_text.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE void show_update(ProgressBar& bar, std::int64_t done, const UpdateReport& report,
                                     double peak_tflops) {
  ProgressBar::Fields fields{{"reward", number_text("%.4f", report.reward)},
                             {"grad", number_text("%.2e", report.gradient_norm)}};
  if (report.flops.total() > 0) {
    const double rate = tflop_per_second(report);
    std::string speed = number_text("%.3g", rate);
    if (peak_tflops > 0) speed += number_text(" (%.3g%% of peak)", 100 * rate / peak_tflops);
    fields.emplace_back("TFLOP/s", speed);
  }
  bar.update(done, fields);
  const std::string update = "update " + std::to_string(report.update);
  if (!report.warning.empty()) bar.note(update + ": " + report.warning);
  if (!report.skip_reason.empty())  // of several tasks one may fail alone
    bar.note(update + (report.skipped ? " skipped: " : " failed: ") + report.skip_reason);
}

}  // namespace reward_tuner
