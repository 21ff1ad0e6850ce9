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

inline constexpr std::array<const char*, 6> kStageNames = {"other",  "rollout",  "decode",
                                                           "reward", "backward", "communication"};

/// The name of a stage in logs: "rollout".
constexpr const char* stage_name(Stage stage) { return kStageNames[static_cast<std::size_t>(stage)]; }

/// Seconds of each stage.
class StageTimes {
 public:
  double& operator[](Stage stage) { return seconds_[static_cast<std::size_t>(stage)]; }
  double operator[](Stage stage) const { return seconds_[static_cast<std::size_t>(stage)]; }
  void add(const StageTimes& other) {
    for (std::size_t i = 0; i < seconds_.size(); ++i) seconds_[i] += other.seconds_[i];
  }
  /// Calls visit(name, seconds) for each stage but kOther, which is the rest of the time.
  template <class Visit>
  void each(Visit visit) const {
    for (std::size_t i = 1; i < seconds_.size(); ++i) visit(kStageNames[i], seconds_[i]);
  }

 private:
  std::array<double, kStageNames.size()> seconds_ = {};
};

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
  StageClock();
  ~StageClock() { current() = outer_; }
  StageClock(const StageClock&) = delete;
  StageClock& operator=(const StageClock&) = delete;

  /// Seconds so far; each moment belongs to the innermost stage.
  StageTimes seconds() const {
    StageTimes out = times_;
    out[stage_] += detail::steady_seconds() - since_;
    return out;
  }

 private:
  friend class StageScope;
  static StageClock*& current() {
    thread_local StageClock* clock = nullptr;
    return clock;
  }
  void enter(Stage stage) {
    const double now = detail::steady_seconds();
    times_[stage_] += now - std::exchange(since_, now);
    stage_ = stage;
  }

  StageClock* outer_;
  Stage stage_;
  double since_;
  StageTimes times_;
};

/// A stage from here to the end of the scope; the stage around it goes on afterwards.
class StageScope {
 public:
  explicit StageScope(Stage stage) : span_(stage_name(stage)), before_(now()) { enter(stage); }
  ~StageScope() { enter(before_); }
  StageScope(const StageScope&) = delete;
  StageScope& operator=(const StageScope&) = delete;

  /// What the thread is doing, whether a clock runs or not.
  static Stage now() { return current(); }

 private:
  static Stage& current() {
    thread_local Stage stage = Stage::kOther;
    return stage;
  }
  static void enter(Stage stage) {
    current() = stage;
    if (StageClock* clock = StageClock::current()) clock->enter(stage);
  }

  TraceSpan span_;
  Stage before_;
};

inline StageClock::StageClock()
    : outer_(std::exchange(current(), this)), stage_(StageScope::now()), since_(detail::steady_seconds()) {}

}  // namespace reward_tuner
