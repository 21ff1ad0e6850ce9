// The report of several tasks: rates over all rows and groups, sums and means by what each number is.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/tuner/task_reports.hpp>
#include <reward_tuner/tuner/update_report.hpp>

namespace task_reports_test {
namespace {

using namespace reward_tuner;

/// The report of a task whose rows have these ratios, all at one step.
UpdateReport of_ratios(const std::vector<double>& ratios, double clipped) {
  UpdateReport out;
  const auto rows = static_cast<double>(ratios.size());
  for (const double ratio : ratios) out.ratio_mean += ratio / rows;
  double squares = 0;
  for (const double ratio : ratios) squares += (ratio - out.ratio_mean) * (ratio - out.ratio_mean) / rows;
  out.ratio_std = std::sqrt(squares);
  out.clip_fraction = clipped;
  out.steps.push_back({.step = 1, .rows = static_cast<std::int64_t>(ratios.size())});
  return out;
}

}  // namespace
}  // namespace task_reports_test

TEST_CASE("rates of rows are those of all tasks' rows together, and a task without rows takes nothing off them") {
  using namespace task_reports_test;
  const std::vector<double> few{0.7, 1.4}, many{1.0, 1.1, 0.95, 0.9, 1.2, 1.3};
  std::vector<double> all = few;
  all.insert(all.end(), many.begin(), many.end());
  const UpdateReport expected = of_ratios(all, (2 * 0.5 + 6 * 0.25) / 8);
  UpdateReport whole;
  add_task_report(whole, "none", UpdateReport(), 1.0 / 4);
  add_task_report(whole, "few", of_ratios(few, 0.5), 1.0 / 4);
  add_task_report(whole, "none again", UpdateReport(), 1.0 / 4);
  add_task_report(whole, "many", of_ratios(many, 0.25), 1.0 / 4);
  CHECK(whole.ratio_mean == doctest::Approx(expected.ratio_mean).epsilon(1e-14));
  CHECK(whole.ratio_std == doctest::Approx(expected.ratio_std).epsilon(1e-12));
  CHECK(whole.clip_fraction == doctest::Approx(expected.clip_fraction).epsilon(1e-14));
  CHECK(policy_rows(whole) == 8);
  CHECK(whole.steps.front().task == "few");
}

TEST_CASE("the share of groups with equal rewards is over all groups") {
  using namespace task_reports_test;
  const auto of_groups = [](std::int64_t groups, double equal) {
    UpdateReport out;
    out.groups = groups, out.zero_std_ratio = equal;
    return out;
  };
  UpdateReport whole;
  for (const UpdateReport& own : {of_groups(4, 0.75), of_groups(0, 0), of_groups(12, 0.25)})
    add_task_report(whole, "t" + std::to_string(whole.components.size()), own, 1.0 / 3);
  CHECK(whole.groups == 16);
  CHECK(whole.zero_std_ratio == doctest::Approx((3 + 3) / 16.0));
}

TEST_CASE("a task's reward is a part of the mean and stands under its name, counts are sums, sentences name the task") {
  using namespace task_reports_test;
  UpdateReport own;
  own.reward = 0.5, own.images = 8, own.optimizer_steps = 2, own.peak_tensor_bytes = 100, own.seconds = 1;
  own.components = {{"shapes", 0.25}};
  own.warning = "slow";
  UpdateReport other = own;
  other.reward = 1.5, other.peak_tensor_bytes = 70, other.warning = "";
  UpdateReport whole;
  add_task_report(whole, "a", own, 0.5);
  add_task_report(whole, "b", other, 0.5);
  CHECK(whole.reward == 1);
  CHECK(whole.components.at("a.reward") == 0.5);
  CHECK(whole.components.at("b.reward") == 1.5);
  CHECK(whole.components.at("b.shapes") == 0.25);
  CHECK(whole.images == 16);
  CHECK(whole.optimizer_steps == 4);
  CHECK(whole.peak_tensor_bytes == 100);
  CHECK(whole.seconds == 2);
  CHECK(whole.warning == "a: slow");
  other.ratio_deviation = std::nan("");
  add_task_report(whole, "c", other, 0.5);
  add_task_report(whole, "d", own, 0.5);
  CHECK(std::isnan(whole.ratio_deviation));
}
