// Progress of a run: one line redrawn in place on a terminal, plain lines every so often in a log file.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/core/option_fields.hpp>

namespace reward_tuner {

/// How progress is shown.
enum class ProgressStyle {
  kAutomatic,  ///< live when the stream is std::cout, std::cerr or std::clog on a terminal, else plain
  kLive,       ///< one line, redrawn in place
  kPlain,      ///< whole lines
};

/// How a progress bar is drawn.
struct ProgressOptions {
  ProgressStyle style = ProgressStyle::kAutomatic;  ///< live line or plain lines
  std::int64_t already_done = 0;         ///< updates finished before this run (resume); they do not count in the speed
  double seconds_between_lines = 10;     ///< plain: least time between two lines
  double seconds_between_redraws = 0.1;  ///< live: least time between two redraws
  int width = 0;                         ///< columns; 0 asks the terminal, or takes 80
  int averaged_updates = 32;             ///< the speed is the mean over this many latest updates
  std::function<double()> clock = {};  ///< seconds that never go back; empty is the steady clock (tests set their own)
};
REWARD_TUNER_FIELDS(ProgressOptions, style, already_done, seconds_between_lines, seconds_between_redraws, width,
                    averaged_updates, clock);

/// Text of a duration: "0:07", "12:34", "3:05:09".
std::string format_duration(double seconds);

/// Shows percent, update i/N, the caller's fields, seconds per update and the time left.
/// Example: ProgressBar bar(std::cerr, 100); bar.update(i, {{"reward", "0.41"}, {"grad", "1.2e-03"}}); bar.finish();
class ProgressBar {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;

  /// `total` updates in all, those already done included. Errors: total < 1, already_done outside [0, total].
  ProgressBar(std::ostream& stream, std::int64_t total, ProgressOptions options = {});
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  /// Ends an open live line, so that what is printed next (an error message) starts on a line of its own.
  ~ProgressBar();

  /// Reports that `done` of `total` updates are finished, with values to show in the given order.
  void update(std::int64_t done, const Fields& fields = {});

  /// Prints a whole line above the live line, or simply a line.
  void note(std::string_view text);

  /// Ends the display: shows the latest state if it was skipped, and the duration of this run.
  void finish();

  /// Mean seconds of the latest updates; NaN before the first one.
  double seconds_per_update() const;

  /// Seconds left at the current speed; NaN before the first update.
  double seconds_left() const { return seconds_per_update() * static_cast<double>(total_ - done_); }

 private:
  double now() const;

  int descriptor() const;

  bool is_terminal() const;

  int width() const;

  static std::string speed_text(double seconds);

  void show(double time);

  std::ostream& stream_;
  std::int64_t total_;
  ProgressOptions options_;
  bool live_ = false;
  std::int64_t done_ = 0;
  Fields fields_;
  double started_ = 0;
  std::deque<std::pair<std::int64_t, double>> marks_;  // (updates done, time), oldest first
  bool shown_once_ = false;
  double shown_at_ = 0;
  std::int64_t shown_done_ = -1;
  bool open_line_ = false;
  bool finished_ = false;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/report/progress_bar.ipp>
#endif
