// Student's t, for intervals of means of few values.
#pragma once
#include <cmath>
#include <numbers>

#include <reward_tuner/core/check.hpp>

namespace reward_tuner {

/// How many standard errors to either side of the mean of `free` + 1 independent normal values hold it with a
/// probability of 95%: 12.706 of 1 degree of freedom, 1.960 of many. From the distribution's closed form for whole
/// degrees of freedom (Abramowitz & Stegun 1964, 26.7.3 and 26.7.4), solved by bisection; cost: proportional to `free`.
/// Errors: free < 1.
inline double student_t_95(int free) {
  REWARD_TUNER_CHECK(free >= 1, "[student_t_95] expected 1 degree of freedom or more, got ", free);
  // the probability between -t and t, with theta = atan(t / sqrt(free))
  const auto between = [free](double theta) {
    const double cosine = std::cos(theta), square = cosine * cosine;
    const bool odd = free % 2 == 1;
    double term = odd ? cosine : 1, sum = free == 1 ? 0 : term;
    for (int i = odd ? 2 : 1; i < free - 2; i += 2) sum += term *= square * i / (i + 1);
    return odd ? (theta + std::sin(theta) * sum) * 2 / std::numbers::pi : std::sin(theta) * sum;
  };
  double low = 0, high = std::numbers::pi / 2;
  for (int i = 0; i < 60; ++i) (between((low + high) / 2) < 0.95 ? low : high) = (low + high) / 2;
  return std::sqrt(free) * std::tan((low + high) / 2);
}

}  // namespace reward_tuner
