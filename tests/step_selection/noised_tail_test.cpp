// DRaFT-LV's selection.
#include <doctest/doctest.h>

#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/step_selection/noised_tail.hpp>

TEST_CASE("NoisedTail trains the last step and n replicas of it, with or without the base") {
  using namespace reward_tuner;
  Rng rng(0);
  const auto plan = [&](NoisedTailOptions options) {
    const StepPlan made = NoisedTail(options).plan({.num_steps = 9}, rng);
    CHECK_NOTHROW(check_plan(made, 9));
    return made;
  };
  CHECK(plan({}) == StepPlan{.last = 8, .jumps = false, .trained = {8}, .replicas = 2});
  CHECK(plan({.num_noises = 0}) == StepPlan{.last = 8, .jumps = false, .trained = {8}});
  CHECK(plan({.num_noises = 3, .include_base = false}) ==
        StepPlan{.last = 8, .jumps = false, .trained = {}, .replicas = 3});
  CHECK_THROWS_WITH_AS(NoisedTail({.num_noises = -1}), "[NoisedTail] num_noises must be >= 0, got -1", Error);
  CHECK_THROWS_WITH_AS(NoisedTail({.num_noises = 0, .include_base = false}),
                       "[NoisedTail] without the base at least one noise must be trained, got num_noises 0", Error);
}
