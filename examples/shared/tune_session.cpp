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

bool built(const MethodEntry& method) { return units().contains(method.unit); }

void require_built(const MethodEntry& method) {
  std::vector<std::string> has;
  for (const auto& entry : method_entries())
    if (built(entry)) has.emplace_back(entry.name);
  REWARD_TUNER_CHECK(built(method), "[rt-tune] --method expected ", listed(has, "or"), ", which this program has, got ",
                     method.name, ": the target rt-tune builds all methods");
}

TuneResult run_method(TuneSession& session) {
  require_built(session.method);
  return units().at(session.tasks.empty() ? session.method.unit : MethodUnit::kTasks)(session);
}

}  // namespace rt_shared
