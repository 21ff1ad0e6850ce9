// Definitions of run_progress.hpp.
#pragma once
#include <reward_tuner/run/run_progress.hpp>

#include <algorithm>
#include <limits>
#include <numeric>

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
  images += report.images;
  peak_tensor_bytes = std::max(peak_tensor_bytes, report.peak_tensor_bytes);
  skipped_updates = report.skipped_updates;
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
          {"images", p.images},
          {"peak_tensor_bytes", p.peak_tensor_bytes},
          {"skipped_updates", p.skipped_updates},
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
  p.forward_samples = json.value("forward_samples", std::int64_t{0});  // as tune_cpu_seconds below
  p.backward_samples = json.value("backward_samples", std::int64_t{0});
  p.images = json.value("images", std::int64_t{0});
  p.peak_tensor_bytes = json.at("peak_tensor_bytes").get<std::int64_t>();
  p.skipped_updates = json.at("skipped_updates").get<std::int64_t>();
  p.tune_seconds = json.at("tune_seconds").get<double>();
  p.evaluate_seconds = json.at("evaluate_seconds").get<double>();
  p.tune_cpu_seconds = json.value("tune_cpu_seconds", 0.0);  // checkpoints of version 0.1.0 before this number lack it
  return p;
}

REWARD_TUNER_INLINE double mean_reward(const std::vector<double>& rewards, std::int64_t begin, std::int64_t count) {
  return std::accumulate(rewards.begin() + begin, rewards.begin() + begin + count, 0.0) / static_cast<double>(count);
}

REWARD_TUNER_INLINE bool on_plateau(const std::vector<double>& rewards, std::int64_t window) {
  const auto done = static_cast<std::int64_t>(rewards.size());
  return window > 0 && done >= 2 * window &&
         mean_reward(rewards, done - window, window) <= mean_reward(rewards, done - 2 * window, window);
}

REWARD_TUNER_INLINE bool has_diverged(const std::vector<double>& rewards, double drop) {
  constexpr std::int64_t kWindow = 10;
  const auto done = static_cast<std::int64_t>(rewards.size());
  if (drop <= 0 || done < kWindow) return false;
  double best = -std::numeric_limits<double>::infinity();
  for (std::int64_t end = kWindow; end <= done; ++end)
    best = std::max(best, mean_reward(rewards, end - kWindow, kWindow));
  return mean_reward(rewards, done - kWindow, kWindow) < best - drop;
}

}  // namespace reward_tuner
