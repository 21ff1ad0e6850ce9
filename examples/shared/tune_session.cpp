// The units of this program.
#include "tune_session.hpp"

#include <map>

#include <reward_tuner/core/check.hpp>

namespace rt_shared {

namespace {

std::map<MethodUnit, RunMethod>& units() {
  static std::map<MethodUnit, RunMethod> registered;  // filled before main, in any order
  return registered;
}

}  // namespace

void refuse_task(const std::filesystem::path& file, const std::string& task, const std::exception& problem) {
  const std::string text = problem.what();
  rt::detail::fail("[rt-tune] ", file.string(), file.empty() ? "" : ", ", "[task.", task,
                   "]: ", text.starts_with("[rt-tune] ") ? text.substr(10) : text);
}

RegisteredUnit::RegisteredUnit(MethodUnit unit, RunMethod run) { units().emplace(unit, run); }

MethodUnit unit_of(const MethodEntry& method, const TuneSettings& settings) {
  const bool direct = method.unit == MethodUnit::kStopped || method.unit == MethodUnit::kPassed;
  if (!direct || settings.gradient_stop == StopName::kOwn) return method.unit;
  return settings.gradient_stop == StopName::kStop ? MethodUnit::kStopped : MethodUnit::kPassed;
}

bool built(const MethodEntry& method) { return units().contains(method.unit); }

void require_built(const MethodEntry& method, const TuneSettings& settings) {
  std::vector<std::string> has;
  for (const auto& entry : method_entries())
    if (built(entry)) has.emplace_back(entry.name);
  REWARD_TUNER_CHECK(built(method), "[rt-tune] --method expected ", listed(has, "or"), ", which this program has, got ",
                     method.name, ": the target rt-tune builds all methods");
  REWARD_TUNER_CHECK(units().contains(unit_of(method, settings)),
                     "[rt-tune] --gradient-stop expected the one of --method ", method.name,
                     ", got the other, which this program lacks: the target rt-tune builds both");
}

TuneResult run_method(TuneSession& session) {
  require_built(session.method, session.settings);
  return units().at(session.tasks.empty() ? unit_of(session.method, session.settings) : MethodUnit::kTasks)(session);
}

}  // namespace rt_shared
