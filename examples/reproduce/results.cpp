// Reading cells.
#include "results.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>

#include <reward_tuner/files/json_config.hpp>

#include "drtune_plan.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

namespace {

double finite_or_nan(const nlohmann::json& value) { return value.is_number() ? value.get<double>() : std::nan(""); }

std::map<std::string, double> numbers(const nlohmann::json& object) {
  std::map<std::string, double> out;
  for (const auto& [name, value] : object.items()) out[name] = finite_or_nan(value);
  return out;
}

std::vector<double> list(const nlohmann::json& array) {
  std::vector<double> out;
  for (const auto& value : array) out.push_back(finite_or_nan(value));
  return out;
}

}  // namespace

std::optional<CellResult> read_cell(const Study& study, const std::string& name) {
  const auto file = study.out / name / "report.json";
  if (!std::filesystem::exists(file)) return std::nullopt;
  const auto report = rt::read_json(file);
  CellResult r;
  r.updates = report.at("updates").get<std::int64_t>();
  r.forwards = report.at("network").at("forwards").get<std::int64_t>();
  r.backwards = report.at("network").at("backwards").get<std::int64_t>();
  r.queries = report.value("reward_queries", std::int64_t{0});  // reports of version 0.1.0 lack it
  r.cpu_seconds = report.at("seconds").at("tune_cpu").get<double>();
  r.before = numbers(report.at("before"));
  r.after = numbers(report.at("after"));
  r.sentinels_before = numbers(report.at("sentinels").at("before"));
  r.sentinels_after = numbers(report.at("sentinels").at("after"));
  return r;
}

std::optional<std::map<std::string, double>> read_measured(const Study& study, const std::string& name) {
  if (!finished(study, name)) return std::nullopt;
  return numbers(rt::read_json(study.out / name / "measured.json"));
}

std::vector<HeldOutPoint> read_held_out(const Study& study, const std::string& name, const std::string& metric) {
  std::vector<double> queries = {0};  // after so many updates
  std::ifstream updates(study.out / name / "metrics.jsonl");
  for (std::string line; std::getline(updates, line);)
    queries.push_back(queries.back() + nlohmann::json::parse(line).at("images").get<double>());
  std::vector<HeldOutPoint> points;
  std::ifstream evaluations(study.out / name / "evaluations.jsonl");
  for (std::string line; std::getline(evaluations, line);) {
    const auto record = nlohmann::json::parse(line);
    const auto update = record.at("update").get<std::size_t>();
    if (update < queries.size() && record.at("metrics").contains(metric))
      points.push_back({queries[update], finite_or_nan(record.at("metrics").at(metric))});
  }
  return points;
}

std::vector<double> read_training(const Study& study, const std::string& name, const std::string& component) {
  std::vector<double> values;
  std::ifstream lines(study.out / name / "metrics.jsonl");
  for (std::string line; std::getline(lines, line);) {
    const auto record = nlohmann::json::parse(line);
    const auto& from = component.empty() ? record : record.at("components");
    const std::string& key = component.empty() ? "reward" : component;
    values.push_back(from.contains(key) ? finite_or_nan(from.at(key)) : std::nan(""));
  }
  return values;
}

std::vector<NormRow> read_norms(const Study& study, int steps) {
  std::vector<NormRow> rows;
  const auto folder = study.out / norm_cell(steps);
  nlohmann::json stored;
  if (std::filesystem::exists(folder / "report.json")) stored = rt::read_json(folder / "report.json").at("norms");
  else if (std::filesystem::exists(folder / "part.json")) stored = rt::read_json(folder / "part.json");
  for (const auto& row : stored)
    rows.push_back({row.at("trained").get<int>(), list(row.at("passing")), list(row.at("stopped"))});
  return rows;
}

double median(std::vector<double> values) {
  std::erase_if(values, [](double value) { return std::isnan(value); });
  if (values.empty()) return std::nan("");
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : 0.5 * (values[half - 1] + values[half]);
}

std::string number(double value, int digits) {
  if (!std::isfinite(value)) return "not finite";
  const double size = std::abs(value);
  const int before = size > 0 ? static_cast<int>(std::floor(std::log10(size))) + 1 : 1;
  char text[64];
  if (size >= 1e6) std::snprintf(text, sizeof text, "%.*e", digits - 1, value);
  else std::snprintf(text, sizeof text, "%.*f", std::clamp(digits - before, 0, 8), value);
  return text;
}

std::string mean_and_deviation(const std::vector<double>& values, int digits) {
  if (values.empty()) return "-";
  const double center = mean(values);
  if (values.size() == 1 || !std::isfinite(center)) return number(center, digits);
  const int before = center != 0 ? static_cast<int>(std::floor(std::log10(std::abs(center)))) + 1 : 1;
  char text[96];
  const int places = std::clamp(digits - before, 0, 8);
  std::snprintf(text, sizeof text, "%.*f ± %.*f", places, center, places, deviation(values));
  return text;
}

}  // namespace rt_reproduce
