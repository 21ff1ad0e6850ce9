// Student's t against tables.
#include <reward_tuner/core/student_t.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <utility>

#include <reward_tuner/core/check.hpp>

namespace student_t_test {

using reward_tuner::student_t_95;

TEST_CASE("Student's t at 95%, of odd, even and many degrees of freedom") {
  // scipy.stats.t.ppf(0.975, free)
  for (const auto& row : {std::pair{1, 12.706205},
                          {2, 4.302653},
                          {3, 3.182446},
                          {4, 2.776445},
                          {5, 2.570582},
                          {7, 2.364624},
                          {8, 2.306004},
                          {15, 2.13145},
                          {30, 2.042272},
                          {100, 1.983972},
                          {1000, 1.962339}}) {
    CAPTURE(row.first);
    CHECK(std::abs(student_t_95(row.first) - row.second) < 1e-6);
  }
  CHECK_THROWS_WITH_AS(student_t_95(0), "[student_t_95] expected 1 degree of freedom or more, got 0",
                       reward_tuner::Error);
}

}  // namespace student_t_test
