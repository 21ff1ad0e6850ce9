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

TEST_CASE("a claim whose premise is not told cannot be told") {
  const PairedDifference yes = paired_difference({0.029, 0.030, 0.031}), no = paired_difference({-0.2, 0.3, 0.1});
  CHECK(verdict(yes, yes) == "holds");
  CHECK(verdict(yes, no) == "cannot tell");
  CHECK(verdict(paired_difference({-0.029, -0.030, -0.031}), no) == "cannot tell");
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

TEST_CASE("differences are of seeds that both have") {
  CHECK(seed_differences({{0, 1.0}, {1, 3.0}, {4, 7.0}}, {{1, 1.0}, {2, 9.0}, {4, 4.0}}) ==
        std::vector<double>{2.0, 3.0});
}

TEST_CASE("a share of a gain has an interval whose ends the paired t-test just does not tell") {
  const std::vector<double> part = {0.05, 0.09, 0.06, 0.08}, whole = {0.10, 0.14, 0.08, 0.12};
  const GainRatio r = gain_ratio(part, whole);
  CHECK(r.told);
  CHECK(r.ratio == doctest::Approx(0.28 / 0.44));
  CHECK(r.low < r.ratio);
  CHECK(r.ratio < r.high);
  for (const bool upper : {false, true}) {
    std::vector<double> left;
    for (std::size_t i = 0; i < part.size(); ++i) left.push_back(part[i] - (upper ? r.high : r.low) * whole[i]);
    const PairedDifference d = paired_difference(left);
    CHECK(std::abs(upper ? d.high : d.low) < 1e-9);  // the interval of the difference ends at 0
  }
  // a whole gain that may be none is no measure, nor is one seed
  CHECK_FALSE(gain_ratio({0.05, 0.09, 0.06}, {0.10, -0.14, 0.08}).told);
  CHECK_FALSE(gain_ratio({0.05}, {0.10}).told);
}

}  // namespace seed_statistics_test
