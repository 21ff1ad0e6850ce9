// Where the time of an update goes: its stages, a clock that adds them up, and a trace that keeps each of them.
#pragma once
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace reward_tuner {

/// What an update is doing.
enum class Stage {
  kOther,          ///< prompts, noise, the choice of images, optimizer steps
  kRollout,        ///< the sampler's steps without gradient, graphs that it keeps included
  kDecode,         ///< latents to images
  kReward,         ///< scores; where they come later, the waiting for them
  kBackward,       ///< differentiating: trained steps evaluated again, and every backward pass
  kCommunication,  ///< what ranks send each other
};

/// The name of a stage in logs: "rollout".
constexpr const char* stage_name(Stage stage) {
  constexpr std::array<const char*, 6> kNames = {"other", "rollout", "decode", "reward", "backward", "communication"};
  return kNames[static_cast<std::size_t>(stage)];
}

/// A span of time on a trace.
struct TraceEvent {
  const char* name;        ///< a literal
  double begin, seconds;   ///< begin: of the steady clock
  std::int64_t depth = 0;  ///< spans around it
  std::int64_t rows = 0;   ///< of a network call; 0: none
};

namespace detail {

inline double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace detail

/// Keeps the spans of this thread while it lives. Of nested ones only the innermost sees them.
class StageTrace {
 public:
  StageTrace() : outer_(std::exchange(current(), this)) {}
  ~StageTrace() { current() = outer_; }
  StageTrace(const StageTrace&) = delete;
  StageTrace& operator=(const StageTrace&) = delete;

  /// In the order of their ends.
  const std::vector<TraceEvent>& events() const { return events_; }

 private:
  friend class TraceSpan;
  static StageTrace*& current() {
    thread_local StageTrace* trace = nullptr;
    return trace;
  }
  StageTrace* outer_;
  std::vector<TraceEvent> events_;
  std::int64_t depth_ = 0;
};

/// A span from here to the end of the scope, if a trace is kept. Costs the reading of a pointer where none is.
class TraceSpan {
 public:
  explicit TraceSpan(const char* name, std::int64_t rows = 0) : trace_(StageTrace::current()) {
    if (trace_) event_ = {name, detail::steady_seconds(), 0, trace_->depth_++, rows};
  }
  ~TraceSpan() {
    if (!trace_) return;
    --trace_->depth_;
    event_.seconds = detail::steady_seconds() - event_.begin;
    trace_->events_.push_back(event_);
  }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

 private:
  StageTrace* trace_;
  TraceEvent event_ = {};
};

/// Adds up the seconds that this thread spends in each stage while it lives; of nested clocks only the innermost runs.
/// It never waits for a device: on a card a stage's seconds are those of launching its work, and the wait for it falls
/// to the stage that reads a number.
class StageClock {
 public:
  StageClock() : outer_(std::exchange(current(), this)), since_(detail::steady_seconds()) {}
  ~StageClock() { current() = outer_; }
  StageClock(const StageClock&) = delete;
  StageClock& operator=(const StageClock&) = delete;

  /// Seconds so far; each moment belongs to the innermost stage.
  double seconds(Stage stage) const {
    const double running = stage == stage_ ? detail::steady_seconds() - since_ : 0;
    return seconds_[static_cast<std::size_t>(stage)] + running;
  }
  /// What the thread is doing; kOther where no clock runs.
  static Stage now() { return current() ? current()->stage_ : Stage::kOther; }

 private:
  friend class StageScope;
  static StageClock*& current() {
    thread_local StageClock* clock = nullptr;
    return clock;
  }
  Stage enter(Stage stage) {
    const double now = detail::steady_seconds();
    seconds_[static_cast<std::size_t>(stage_)] += now - std::exchange(since_, now);
    return std::exchange(stage_, stage);
  }

  StageClock* outer_;
  Stage stage_ = Stage::kOther;
  double since_;
  std::array<double, 6> seconds_ = {};
};

/// A stage from here to the end of the scope; the stage around it goes on afterwards.
class StageScope {
 public:
  explicit StageScope(Stage stage)
      : span_(stage_name(stage)), clock_(StageClock::current()), before_(clock_ ? clock_->enter(stage) : stage) {}
  ~StageScope() {
    if (clock_) clock_->enter(before_);
  }
  StageScope(const StageScope&) = delete;
  StageScope& operator=(const StageScope&) = delete;

 private:
  TraceSpan span_;
  StageClock* clock_;
  Stage before_;
};

}  // namespace reward_tuner
