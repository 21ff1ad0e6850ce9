// Every moment belongs to the innermost stage, whatever ends it.
#include <doctest/doctest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include <reward_tuner/tensor/stage_clock.hpp>

namespace stage_clock_test {
namespace {

using namespace reward_tuner;

void pass(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

}  // namespace

TEST_CASE("stage clock: nested stages, exceptions and inner clocks") {
  CHECK(StageClock::now() == Stage::kOther);
  const auto time = [] { return reward_tuner::detail::steady_seconds(); };
  const double before = time();
  const StageClock clock;
  const double begun = time();
  pass(2);
  {
    const StageScope rollout(Stage::kRollout);
    CHECK(StageClock::now() == Stage::kRollout);
    pass(4);
    try {
      const StageScope decode(Stage::kDecode);
      pass(8);
      throw std::runtime_error("x");
    } catch (const std::runtime_error&) {
    }
    CHECK(StageClock::now() == Stage::kRollout);
    {
      const StageClock inner;  // the outer one takes its time for its own stage's
      const StageScope reward(Stage::kReward);
      pass(4);
      CHECK(inner.seconds(Stage::kReward) >= 0.004);
    }
    CHECK(clock.seconds(Stage::kRollout) >= 0.008);  // while it runs
  }
  CHECK(StageClock::now() == Stage::kOther);
  CHECK(clock.seconds(Stage::kDecode) >= 0.008);
  CHECK(clock.seconds(Stage::kReward) == 0);
  double sum = 0;
  const double last = time();
  for (const Stage stage :
       {Stage::kOther, Stage::kRollout, Stage::kDecode, Stage::kReward, Stage::kBackward, Stage::kCommunication})
    sum += clock.seconds(stage);
  // no moment is lost, none counts twice
  CHECK(sum >= last - begun - 1e-9);
  CHECK(sum <= time() - before + 1e-9);
  CHECK(sum >= 0.018);
  std::thread([] { CHECK(StageClock::now() == Stage::kOther); }).join();
}

TEST_CASE("stage trace: spans with their depths, in the order of their ends") {
  { const StageScope unseen(Stage::kRollout); }
  const StageTrace trace;
  {
    const StageScope rollout(Stage::kRollout);
    { const TraceSpan call("network", 4); }
    pass(1);
  }
  const StageScope open(Stage::kReward);
  const auto& events = trace.events();
  REQUIRE(events.size() == 2);
  CHECK(events[0].name == std::string("network"));
  CHECK(events[0].rows == 4);
  CHECK(events[0].depth == 1);
  CHECK(events[1].name == std::string("rollout"));
  CHECK(events[1].depth == 0);
  CHECK(events[1].seconds >= 0.001);
  CHECK(events[0].begin >= events[1].begin);
  CHECK(events[0].begin + events[0].seconds <= events[1].begin + events[1].seconds);
}

}  // namespace stage_clock_test
