// The studies' statistics by hand and by simulation.
#include <examples/reproduce/seed_statistics.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

namespace seed_statistics_test {

using namespace rt_reproduce;

TEST_CASE("differences of seeds have an interval and a verdict") {
  const PairedDifference d = paired_difference({0.01, 0.03, 0.05});
  CHECK(d.seeds == 3);
  CHECK(d.mean == doctest::Approx(0.03));
  CHECK(d.deviation == doctest::Approx(0.02));
  // t of 2 degrees of freedom: 4.302653
  CHECK(d.low == doctest::Approx(0.03 - 4.302653 * 0.02 / std::sqrt(3.0)));
  CHECK(d.high == doctest::Approx(0.03 + 4.302653 * 0.02 / std::sqrt(3.0)));
  CHECK(verdict(d) == "cannot tell");
  CHECK(verdict(paired_difference({0.029, 0.030, 0.031})) == "holds");
  CHECK(verdict(paired_difference({-0.029, -0.030, -0.031})) == "contradicted");
  // one seed has no interval
  CHECK(std::isinf(paired_difference({0.5}).high));
  CHECK(verdict(paired_difference({0.5})) == "cannot tell");
  CHECK(verdict(paired_difference({})) == "cannot tell");
}

TEST_CASE("so many seeds tell the effect in four of five studies") {
  // tables of the paired t-test's power: 34 pairs for half a deviation, 10 for one, 15 for 0.8 (Cohen 1988)
  CHECK(seeds_to_tell(0.5, 1) == 34);
  CHECK(seeds_to_tell(1, 1) == 10);
  CHECK(seeds_to_tell(0.8, 1) == 15);
  std::mt19937_64 engine(1);
  std::normal_distribution<double> one(1, 1);
  int told = 0;
  constexpr int kStudies = 4000;
  for (int study = 0; study < kStudies; ++study) {
    std::vector<double> differences(10);
    for (double& difference : differences) difference = one(engine);
    told += verdict(paired_difference(differences)) == "holds";
  }
  CHECK(std::abs(told / double(kStudies) - 0.8) < 0.03);  // 5 standard errors and the formula's own error
}

}  // namespace seed_statistics_test
