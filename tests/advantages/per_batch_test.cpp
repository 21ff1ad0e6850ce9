// Rewards standardized over the round.
#include <tests/advantages/advantage_laws.hpp>

#include <reward_tuner/advantages/per_batch.hpp>

TEST_CASE("PerBatch keeps the laws of advantages") { check_advantage_laws<reward_tuner::PerBatch>("PerBatch"); }

TEST_CASE("PerBatch is Eq. 10 of the large-scale RL paper, whatever the prompts") {
  using namespace reward_tuner;
  RewardHistory history;
  // mean 4, variance (9 + 0 + 9 + 0)/4 = 4.5, mean square 16 + 4.5
  const double root = std::sqrt(4.5 + 0.0625 * 20.5);
  const AdvantageInput input = round_of({1, 4, 7, 4}, {"a", "b", "a", "c"});
  check_close(PerBatch({.epsilon = 0.0625}).advantages(input, history), {-3 / root, 0, 3 / root, 0});
  CHECK(history == RewardHistory{});
  // epsilon is under the root: a deviation of 1e-4 of the size with epsilon 1e-8 gives 1/sqrt(2)
  check_close(PerBatch().advantages(round_of_one({1 - 1e-4, 1 + 1e-4}), history), {-std::sqrt(0.5), std::sqrt(0.5)},
              1e-7);
}
