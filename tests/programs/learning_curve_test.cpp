// Areas and levels of held-out curves by hand.
#include <examples/reproduce/learning_curve.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace learning_curve_test {

using namespace rt_reproduce;

TEST_CASE("the mean over queries weighs a value by the queries around it") {
  CHECK(mean_over_queries({{0, 1}, {10, 3}, {40, 3}}) == doctest::Approx((10 * 2 + 30 * 3) / 40.0));
  CHECK(std::isnan(mean_over_queries({{0, 1}})));
  CHECK(std::isnan(mean_over_queries({})));
}

TEST_CASE("a curve that never falls pools what would fall") {
  const auto values = [](const std::vector<HeldOutPoint>& points) {
    std::vector<double> out;
    for (const auto& point : points) out.push_back(point.value);
    return out;
  };
  CHECK(values(never_falling({{0, 1}, {1, 2}, {2, 3}})) == std::vector<double>{1, 2, 3});
  CHECK(values(never_falling({{0, 1}, {1, 5}, {2, 3}, {3, 6}})) == std::vector<double>{1, 4, 4, 6});
  CHECK(values(never_falling({{0, 9}, {1, 5}, {2, 1}})) == std::vector<double>{5, 5, 5});
  // a pool may pull down what came before it
  CHECK(values(never_falling({{0, 2}, {1, 4}, {2, 0}})) == std::vector<double>{2, 2, 2});
  CHECK(never_falling({{3, 2}, {7, 1}})[1].queries == 7);
}

TEST_CASE("queries to a level are linear between evaluations") {
  const std::vector<HeldOutPoint> points = {{0, 0.5}, {100, 0.5}, {200, 0.6}, {300, 0.8}};
  CHECK(queries_to(points, 0.55).value() == doctest::Approx(150));
  CHECK(queries_to(points, 0.7).value() == doctest::Approx(250));
  CHECK(queries_to(points, 0.8).value() == doctest::Approx(300));
  CHECK(queries_to(points, 0.4).value() == 0);
  CHECK_FALSE(queries_to(points, 0.81));
  CHECK_FALSE(queries_to({}, 0.1));
}

}  // namespace learning_curve_test
