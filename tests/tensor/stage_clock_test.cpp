// Every moment belongs to the innermost stage, whatever ends it.
#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <sstream>
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
  CHECK(StageScope::now() == Stage::kOther);
  const auto time = [] { return reward_tuner::detail::steady_seconds(); };
  const double before = time();
  const StageClock clock;
  const double begun = time();
  pass(2);
  {
    const StageScope rollout(Stage::kRollout);
    CHECK(StageScope::now() == Stage::kRollout);
    pass(4);
    try {
      const StageScope decode(Stage::kDecode);
      pass(8);
      throw std::runtime_error("x");
    } catch (const std::runtime_error&) {
    }
    CHECK(StageScope::now() == Stage::kRollout);
    {
      const StageClock inner;  // the outer one takes its time for its own stage's
      const StageScope reward(Stage::kReward);
      pass(4);
      CHECK(inner.seconds()[Stage::kReward] >= 0.004);
    }
    CHECK(clock.seconds()[Stage::kRollout] >= 0.008);  // while it runs
  }
  CHECK(StageScope::now() == Stage::kOther);
  CHECK(clock.seconds()[Stage::kDecode] >= 0.008);
  CHECK(clock.seconds()[Stage::kReward] == 0);
  double sum = 0;
  const double last = time();
  for (const Stage stage :
       {Stage::kOther, Stage::kRollout, Stage::kDecode, Stage::kReward, Stage::kBackward, Stage::kCommunication})
    sum += clock.seconds()[stage];
  // no moment is lost, none counts twice
  CHECK(sum >= last - begun - 1e-9);
  CHECK(sum <= time() - before + 1e-9);
  CHECK(sum >= 0.018);
  std::thread([] { CHECK(StageScope::now() == Stage::kOther); }).join();
}

TEST_CASE("stage times add up and are named") {
  StageTimes times, more;
  for (std::size_t i = 0; i < kStageNames.size(); ++i) {
    times[static_cast<Stage>(i)] = static_cast<double>(i);
    more[static_cast<Stage>(i)] = 10 * static_cast<double>(i);
  }
  times.add(more);
  std::ostringstream out;
  times.each([&](const char* stage, double seconds) { out << stage << ' ' << seconds << ' '; });
  CHECK(out.str() == "rollout 11 decode 22 reward 33 backward 44 communication 55 ");
}

TEST_CASE("stage trace: spans with their depths, in the order of their ends") {
  {
    const StageScope unseen(Stage::kRollout);
    CHECK(StageScope::now() == Stage::kRollout);  // no clock runs
  }
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
