// Definitions of progress_bar.hpp.
#pragma once
#include <reward_tuner/report/progress_bar.hpp>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/number_text.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  const auto total = static_cast<long long>(std::llround(seconds));
  char text[48];
  if (total >= 3600) std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", total / 3600, total / 60 % 60, total % 60);
  else std::snprintf(text, sizeof text, "%lld:%02lld", total / 60, total % 60);
  return text;
}

REWARD_TUNER_INLINE ProgressBar::ProgressBar(std::ostream& stream, std::int64_t total, ProgressOptions options)
    : stream_(stream), total_(total), options_(std::move(options)) {
  REWARD_TUNER_CHECK(total_ >= 1, "[ProgressBar] expected a total of at least 1, got ", total_);
  REWARD_TUNER_CHECK(options_.already_done >= 0 && options_.already_done <= total_,
                     "[ProgressBar] expected already_done in [0, ", total_, "], got ", options_.already_done);
  REWARD_TUNER_CHECK(options_.averaged_updates >= 1, "[ProgressBar] expected averaged_updates >= 1, got ",
                     options_.averaged_updates);
  for (const auto& [name, seconds] : {std::pair("seconds_between_lines", options_.seconds_between_lines),
                                      {"seconds_between_redraws", options_.seconds_between_redraws}})
    REWARD_TUNER_CHECK(seconds >= 0 && std::isfinite(seconds), "[ProgressBar] expected ", name,
                       " finite and >= 0, got ", seconds);
  REWARD_TUNER_CHECK(options_.width >= 0, "[ProgressBar] expected width >= 0 (0: the terminal's), got ",
                     options_.width);
  live_ = options_.style == ProgressStyle::kLive || (options_.style == ProgressStyle::kAutomatic && is_terminal());
  done_ = options_.already_done;
  started_ = now();
  marks_.emplace_back(done_, started_);
}

REWARD_TUNER_INLINE ProgressBar::~ProgressBar() {
  if (open_line_) stream_ << std::endl;
}

REWARD_TUNER_INLINE void ProgressBar::update(std::int64_t done, const Fields& fields) {
  REWARD_TUNER_CHECK(done >= done_ && done <= total_, "[ProgressBar] expected a count in [", done_, ", ", total_,
                     "], got ", done);
  const double time = now();
  done_ = done;
  fields_ = fields;
  if (done > marks_.back().first) marks_.emplace_back(done, time);
  while (marks_.size() > 2 && marks_.back().first - marks_[1].first >= options_.averaged_updates) marks_.pop_front();
  const double pause = live_ ? options_.seconds_between_redraws : options_.seconds_between_lines;
  if (shown_once_ && done < total_ && time - shown_at_ < pause) return;
  show(time);
}

REWARD_TUNER_INLINE void ProgressBar::note(std::string_view text) {
  stream_ << (open_line_ ? "\r\x1b[K" : "") << text << '\n';
  if (open_line_) show(now());
  stream_.flush();
}

REWARD_TUNER_INLINE void ProgressBar::finish() {
  if (finished_) return;
  finished_ = true;
  if (live_ || shown_done_ != done_) show(now());
  if (open_line_) stream_ << '\n';
  open_line_ = false;
  const double elapsed = now() - started_;
  const std::int64_t made = done_ - options_.already_done;
  stream_ << made << (made == 1 ? " update in " : " updates in ") << format_duration(elapsed);
  if (made > 0) stream_ << " (" << speed_text(elapsed / static_cast<double>(made)) << ")";
  stream_ << std::endl;
}

REWARD_TUNER_INLINE double ProgressBar::seconds_per_update() const {
  const auto& [first_done, first_time] = marks_.front();
  const auto& [last_done, last_time] = marks_.back();
  return last_done == first_done ? std::nan("")
                                 : (last_time - first_time) / static_cast<double>(last_done - first_done);
}

REWARD_TUNER_INLINE double ProgressBar::now() const {
  if (options_.clock) return options_.clock();
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

REWARD_TUNER_INLINE int ProgressBar::descriptor() const {
  if (&stream_ == &std::cout) return STDOUT_FILENO;
  return &stream_ == &std::cerr || &stream_ == &std::clog ? STDERR_FILENO : -1;
}

REWARD_TUNER_INLINE bool ProgressBar::is_terminal() const {
  const char* kind = std::getenv("TERM");
  return descriptor() >= 0 && ::isatty(descriptor()) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
}

REWARD_TUNER_INLINE int ProgressBar::width() const {  // asked at every redraw: terminals are resized
  if (options_.width > 0) return options_.width;
  winsize size{};
  return descriptor() >= 0 && ::ioctl(descriptor(), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

REWARD_TUNER_INLINE std::string ProgressBar::speed_text(double seconds) {
  return number_text(seconds < 10 ? "%.2f s/update" : "%.1f s/update", seconds);
}

REWARD_TUNER_INLINE void ProgressBar::show(double time) {
  const double share = static_cast<double>(done_) / static_cast<double>(total_);
  char percent[16];
  std::snprintf(percent, sizeof percent, "%3d%%", static_cast<int>(100 * share));  // rounded down: 100% means done
  std::string text = std::string(percent) + "  " + std::to_string(done_) + "/" + std::to_string(total_);
  std::string tail;
  if (marks_.size() > 1) {
    tail = "  " + speed_text(seconds_per_update());
    if (done_ < total_) tail += "  ETA " + format_duration(seconds_left());
  }
  if (!live_) {
    for (const auto& [name, value] : fields_) text += "  " + name + " " + value;
    stream_ << text << tail << std::endl;
  } else {
    // the last column would wrap on some terminals
    const auto room = static_cast<std::size_t>(std::max(width() - 1, 1));
    constexpr std::size_t kLeastBar = 10, kMostBar = 30;
    for (const auto& [name, value] : fields_) {  // fields that do not fit are left out, speed and ETA stay
      const std::string field = "  " + name + " " + value;
      if (text.size() + field.size() + tail.size() + kLeastBar + 3 > room) break;
      text += field;
    }
    text += tail;
    const std::size_t space = room > text.size() + 3 ? room - text.size() - 3 : 0;
    if (space >= kLeastBar) {
      const std::size_t bar = std::min(space, kMostBar);
      const auto filled = static_cast<std::size_t>(share * static_cast<double>(bar));
      text = "[" + std::string(filled, '#') + std::string(bar - filled, '-') + "] " + text;
    }
    stream_ << '\r' << text.substr(0, room) << "\x1b[K" << std::flush;
    open_line_ = true;
  }
  shown_once_ = true;
  shown_done_ = done_;
  shown_at_ = time;
}

}  // namespace reward_tuner
