// Ctrl-C becomes a flag while a guard lives, and is itself again afterwards.
#include <reward_tuner/run/interrupt_guard.hpp>

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace interrupt_guard_test {
namespace {

/// How a child process that runs `work` ends.
template <class Work>
int ending(Work work) {
  const ::pid_t child = ::fork();
  if (child == 0) {
    work();
    ::_exit(reward_tuner::InterruptGuard::interrupted() ? 1 : 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

}  // namespace

TEST_CASE("one signal sets the flag, a second one kills, and the old handler comes back") {
  for (const int signal : {SIGINT, SIGTERM}) {
    const int once = ending([signal] {
      const reward_tuner::InterruptGuard guard;
      ::raise(signal);
    });
    CHECK(WIFEXITED(once));
    CHECK(WEXITSTATUS(once) == 1);
    CHECK(WIFSIGNALED(ending([signal] {
      const reward_tuner::InterruptGuard guard;
      ::raise(signal);
      ::raise(signal);
    })));
    CHECK(WIFSIGNALED(ending([signal] {
      { const reward_tuner::InterruptGuard guard; }
      ::raise(signal);
    })));
  }
  const int quiet = ending([] { const reward_tuner::InterruptGuard guard; });
  CHECK(WIFEXITED(quiet));
  CHECK(WEXITSTATUS(quiet) == 0);
}

}  // namespace interrupt_guard_test
