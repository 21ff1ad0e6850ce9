// Rollouts that do not fork.
#include <doctest/doctest.h>

#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/branching/no_branching.hpp>

TEST_CASE("NoBranching trains the one branch, good or bad") {
  using namespace reward_tuner;
  CHECK(NoBranching().branches() == 1);
  for (const double a : {-3.0, 0.0, 0.2})
    CHECK((NoBranching().choose({a}) == std::vector<BranchChoice>{{.branch = 0, .weight = 1}}));
  CHECK_THROWS_WITH_AS(NoBranching().choose({}), "[NoBranching] expected the advantage of 1 branch, got 0", Error);
  CHECK_THROWS_WITH_AS(NoBranching().choose({1, 2}), "[NoBranching] expected the advantage of 1 branch, got 2", Error);
}
