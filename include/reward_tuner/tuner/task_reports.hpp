// The report of an update of several tasks, made of the tasks' own.
#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include <reward_tuner/core/step_plan.hpp>
#include <reward_tuner/tuner/running_update.hpp>
#include <reward_tuner/tuner/update_report.hpp>

namespace reward_tuner {

namespace detail {

/// Rates of rows: means over the rows of all tasks, to which a task without rows adds nothing. The difference of
/// log-probabilities is of a task's first optimizer step, and counts by all of its rows, too.
inline void add_ratios(UpdateReport& whole, const UpdateReport& own) {
  const auto rows = static_cast<double>(policy_rows(own)), before = static_cast<double>(policy_rows(whole));
  if (rows == 0) return;
  const auto mean = [&](double of_whole, double of_own) {
    return (before * of_whole + rows * of_own) / (before + rows);
  };
  const auto square = [](double x) { return x * x; };
  const double squares = mean(square(whole.ratio_std) + square(whole.ratio_mean - 1),
                              square(own.ratio_std) + square(own.ratio_mean - 1));  // of ratio - 1
  for (double UpdateReport::*const rate :
       {&UpdateReport::log_prob_difference, &UpdateReport::ratio_mean, &UpdateReport::clip_fraction_low,
        &UpdateReport::clip_fraction_high, &UpdateReport::clip_fraction, &UpdateReport::policy_change})
    whole.*rate = mean(whole.*rate, own.*rate);
  whole.ratio_std = std::sqrt(largest(squares - square(whole.ratio_mean - 1), 0.0));
  whole.largest_log_prob_difference = largest(whole.largest_log_prob_difference, own.largest_log_prob_difference);
}

}  // namespace detail

/// Adds the report of the task `name` to that of all. Counts, losses and times are sums; reward and norm of the
/// gradient are means over the tasks, of which each has the `share`; rates are means over all rows, or all groups, that
/// they are rates of. The task's own reward and components get its name, and so do its sentences and steps.
inline void add_task_report(UpdateReport& whole, const std::string& name, const UpdateReport& own, double share) {
  whole.reward += share * own.reward;
  whole.components[name + ".reward"] = own.reward;
  for (const auto& [key, value] : own.components) whole.components[name + "." + key] = value;
  whole.loss += own.loss;
  whole.regularizer += own.regularizer;
  whole.gradient_norm += share * own.gradient_norm;
  whole.regularizer_gradient_norm = largest(whole.regularizer_gradient_norm, own.regularizer_gradient_norm);
  if (whole.plan == StepPlan()) whole.plan = own.plan;
  add_counts(whole, {own.forwards, own.backwards, own.forward_samples, own.backward_samples, own.retained});
  whole.flops.add(own.flops);
  whole.images += own.images;
  whole.towers.add(own.towers);
  whole.failed_scores += own.failed_scores;
  whole.kept += own.kept;
  if (own.groups > 0) {
    const auto groups = static_cast<double>(own.groups), before = static_cast<double>(whole.groups);
    whole.zero_std_ratio = (before * whole.zero_std_ratio + groups * own.zero_std_ratio) / (before + groups);
  }
  whole.groups += own.groups;
  whole.idle_groups += own.idle_groups;
  whole.optimizer_steps += own.optimizer_steps;
  whole.ratio_deviation = largest(whole.ratio_deviation, own.ratio_deviation);
  detail::add_ratios(whole, own);
  for (StepReport step : own.steps) {
    step.task = name;
    whole.steps.push_back(std::move(step));
  }
  whole.peak_tensor_bytes = std::max(whole.peak_tensor_bytes, own.peak_tensor_bytes);
  whole.seconds += own.seconds;
  whole.times.add(own.times);
  whole.skipped_updates += own.skipped_updates;
  whole.gradient_scale = std::max(whole.gradient_scale, own.gradient_scale);
  whole.gradient_overflows += own.gradient_overflows;
  if (!own.skip_reason.empty()) add_sentence(whole.skip_reason, name + ": " + own.skip_reason);
  if (!own.idle_reason.empty()) add_sentence(whole.idle_reason, name + ": " + own.idle_reason);
  if (!own.warning.empty()) add_sentence(whole.warning, name + ": " + own.warning);
}

}  // namespace reward_tuner
