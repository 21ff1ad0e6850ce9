// Definitions of run_progress.hpp.
#pragma once
#include <reward_tuner/run/run_progress.hpp>

#include <algorithm>
#include <limits>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE bool RunProgress::evaluated(std::int64_t update) const {
  return std::any_of(evaluations.begin(), evaluations.end(), [&](const auto& e) { return e.update == update; });
}

REWARD_TUNER_INLINE void RunProgress::add(const UpdateReport& report) {
  rewards.push_back(report.reward);
  forwards += report.forwards;
  backwards += report.backwards;
  forward_samples += report.forward_samples;
  backward_samples += report.backward_samples;
  flops += report.flops.total();
  images += report.images;
  peak_tensor_bytes = std::max(peak_tensor_bytes, report.peak_tensor_bytes);
  skipped_updates = report.skipped_updates;
  if (report.skipped) return;  // neither idle nor not
  idle_in_a_row = report.kept == 0 ? idle_in_a_row + 1 : 0;
  partly_idle_in_a_row = report.idle_reason.empty() ? 0 : partly_idle_in_a_row + 1;
  idle_reason = report.idle_reason;
}

namespace detail {

// JSON has no NaN; it is written as null.
inline double number_or_nan(const nlohmann::json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

inline std::map<std::string, double> numbers_from_json(const nlohmann::json& json) {
  std::map<std::string, double> out;
  for (const auto& [name, value] : json.items()) out[name] = number_or_nan(value);
  return out;
}

}  // namespace detail

REWARD_TUNER_INLINE nlohmann::json to_json(const EvaluationRecord& e) {
  return {{"update", e.update}, {"metrics", e.metrics}, {"sentinels", e.sentinels}};
}

REWARD_TUNER_INLINE nlohmann::json to_json(const RunProgress& p) {
  nlohmann::json evaluations = nlohmann::json::array();
  for (const auto& e : p.evaluations) evaluations.push_back(to_json(e));
  return {{"rewards", p.rewards},
          {"evaluations", evaluations},
          {"forwards", p.forwards},
          {"backwards", p.backwards},
          {"forward_samples", p.forward_samples},
          {"backward_samples", p.backward_samples},
          {"flops", p.flops},
          {"images", p.images},
          {"peak_tensor_bytes", p.peak_tensor_bytes},
          {"skipped_updates", p.skipped_updates},
          {"idle_in_a_row", p.idle_in_a_row},
          {"partly_idle_in_a_row", p.partly_idle_in_a_row},
          {"idle_reason", p.idle_reason},
          {"tune_seconds", p.tune_seconds},
          {"evaluate_seconds", p.evaluate_seconds},
          {"tune_cpu_seconds", p.tune_cpu_seconds}};
}

REWARD_TUNER_INLINE RunProgress run_progress_from_json(const nlohmann::json& json) {
  RunProgress p;
  for (const auto& value : json.at("rewards")) p.rewards.push_back(detail::number_or_nan(value));
  for (const auto& e : json.at("evaluations"))
    p.evaluations.push_back({e.at("update").get<std::int64_t>(), detail::numbers_from_json(e.at("metrics")),
                             detail::numbers_from_json(e.at("sentinels"))});
  p.forwards = json.at("forwards").get<std::int64_t>();
  p.backwards = json.at("backwards").get<std::int64_t>();
  p.forward_samples = json.at("forward_samples").get<std::int64_t>();
  p.backward_samples = json.at("backward_samples").get<std::int64_t>();
  p.flops = json.at("flops").get<std::int64_t>();
  p.images = json.at("images").get<std::int64_t>();
  p.peak_tensor_bytes = json.at("peak_tensor_bytes").get<std::int64_t>();
  p.skipped_updates = json.at("skipped_updates").get<std::int64_t>();
  p.idle_in_a_row = json.at("idle_in_a_row").get<std::int64_t>();
  p.partly_idle_in_a_row = json.at("partly_idle_in_a_row").get<std::int64_t>();
  p.idle_reason = json.at("idle_reason").get<std::string>();
  p.tune_seconds = json.at("tune_seconds").get<double>();
  p.evaluate_seconds = json.at("evaluate_seconds").get<double>();
  p.tune_cpu_seconds = json.at("tune_cpu_seconds").get<double>();
  return p;
}

}  // namespace reward_tuner
