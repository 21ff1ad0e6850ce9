// The first updates of a run as a trace of their stages.
#pragma once
#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>

#include <reward_tuner/files/output_path.hpp>
#include <reward_tuner/report/chrome_trace.hpp>
#include <reward_tuner/tensor/stage_clock.hpp>

namespace reward_tuner {

/// Traces the first two updates that it is given into a file (write_chrome_trace), which is whole after each of them. A
/// file that is there stays until then.
class UpdateTrace {
 public:
  static constexpr int kUpdates = 2;

  /// Makes the file's folder. Errors: those of prepare_output_file.
  explicit UpdateTrace(std::filesystem::path file) : file_(std::move(file)) { prepare_output_file(file_); }

  /// The answer of `update()`, an update of so many prompts.
  template <class F>
  auto operator()(std::int64_t prompts, F update) {
    if (traced_ == kUpdates) return update();
    const StageTrace trace;
    auto report = [&] {
      const TraceSpan span("update", prompts);
      return update();
    }();
    events_.insert(events_.end(), trace.events().begin(), trace.events().end());
    ++traced_;
    write_chrome_trace(file_, events_);
    return report;
  }

 private:
  std::filesystem::path file_;
  std::vector<TraceEvent> events_;
  int traced_ = 0;
};

}  // namespace reward_tuner
