// Turns Ctrl-C into a flag that a loop checks between two updates. Opt-in: nothing else in the library touches
// signals.
#pragma once
#include <csignal>

namespace reward_tuner {

namespace detail {

inline volatile std::sig_atomic_t interrupt_signal = 0;

}  // namespace detail

/// While it lives, the first SIGINT or SIGTERM only sets a flag; a second one ends the process as usual. At most one at
/// a time.
/// Example: InterruptGuard guard; trainer_options.interrupted = [] { return InterruptGuard::interrupted(); };
class InterruptGuard {
 public:
  InterruptGuard() {
    detail::interrupt_signal = 0;
    struct sigaction action {};
    action.sa_handler = [](int number) { detail::interrupt_signal = number; };
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
    ::sigaction(SIGINT, &action, &previous_int_);
    ::sigaction(SIGTERM, &action, &previous_term_);
  }
  ~InterruptGuard() {
    ::sigaction(SIGINT, &previous_int_, nullptr);
    ::sigaction(SIGTERM, &previous_term_, nullptr);
  }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  /// Whether a signal came since the guard was made.
  static bool interrupted() { return detail::interrupt_signal != 0; }

 private:
  struct sigaction previous_int_ {
  }, previous_term_{};
};

}  // namespace reward_tuner
