// rt-tune plan: what an update would take, before anything is loaded, and which settings make it fit.
#include <ATen/Parallel.h>

#include <functional>
#include <iomanip>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/byte_size.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/files/json_file.hpp>

#include <examples/shared/defaults.hpp>
#include <examples/shared/memory_plan.hpp>
#include <examples/shared/outputs.hpp>
#include <examples/shared/settings_table.hpp>

#include "commands.hpp"
#include "flags.hpp"
#include "tasks.hpp"

namespace rt_tune {

namespace rt = reward_tuner;

namespace {

struct PlanSettings : TuneSettings {
  std::filesystem::path json;
};

/// The settings of tune, of which a plan needs the model only.
SettingsTable plan_table() {
  SettingsTable table = settings_table();
  for (Setting& row : table) row.required = row.name == "model";
  return table;
}

std::string megabytes(std::int64_t bytes) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << static_cast<double>(bytes) / 1e6 << " MB";
  return text.str();
}

void line(const std::string& name, std::int64_t bytes) {
  std::cout << "  " << std::left << std::setw(34) << name << std::right << std::setw(14) << megabytes(bytes) << '\n';
}

/// The settings of each task as they will be in force, with its reward; one without --tasks.
std::vector<std::pair<TuneSettings, ChosenReward>> courses(const TuneSettings& s, const MethodEntry& method) {
  std::vector<std::pair<TuneSettings, ChosenReward>> all;
  if (s.tasks.empty()) {
    all.emplace_back(s, make_reward(s, "--reward", RewardModels::kLeftOut));
  } else {
    for (const TuneTask& task : read_tasks(s, RewardModels::kLeftOut)) all.emplace_back(task.settings, task.reward);
  }
  std::vector<std::vector<std::string>> rewards;
  std::set<std::string> left_out;
  for (auto& [settings, reward] : all) {
    complete(settings, method, reward.per_group);
    rewards.push_back(settings.rewards);
    left_out.insert(reward.left_out.begin(), reward.left_out.end());
  }
  check_judges(s, rewards);
  for (const auto& name : s.judges)
    if (!reward_model(s, name).empty()) left_out.insert(name);
  rewards.push_back(s.judges);
  check_reward_models(s, rewards);
  for (const auto& name : left_out)
    rt::note("[rt-tune] plan leaves out the model of the reward " + name +
             ": its weights and its part of an update "
             "come on top");
  return all;
}

class Planner {
 public:
  Planner(const PlanSettings& s, const MethodEntry& method)
      : method_(method), model_(ModelOutline::read(s)), courses_(courses(s, method)) {
    device_.cpu = s.device.is_cpu();
    device_.element = static_cast<std::int64_t>(c10::elementSize(s.dtype));
    device_.threads = at::get_num_threads();
  }
  /// The largest plan of all tasks with the settings that `change` makes of each task's.
  MemoryPlan plan(const std::function<TuneSettings(const TuneSettings&)>& change) const {
    std::optional<MemoryPlan> largest;
    for (const auto& [settings, reward] : courses_) {
      MemoryPlan own = memory_plan(model_, change(settings), method_, reward, device_);
      if (!largest || own.update.peak > largest->update.peak) largest = std::move(own);
    }
    return *largest;
  }
  MemoryPlan plan() const {
    return plan([](const TuneSettings& s) { return s; });
  }
  const TuneSettings& settings() const { return courses_.front().first; }

 private:
  const MethodEntry& method_;
  ModelOutline model_;
  std::vector<std::pair<TuneSettings, ChosenReward>> courses_;
  PlanDevice device_;
};

int plan(const PlanSettings& s) {
  apply_threads(s.threads);
  const MethodEntry& method = method_entry(s.method);
  check_settings(s, method);
  if (s.shard_optimizer)
    rt::note("[rt-tune] plan is of one process: with --shard-optimizer each of N ranks holds an Nth of the optimizer");
  nlohmann::json out;
  Outputs outputs;
  outputs.add("--json", s.json, [&] { rt::write_json(s.json, out); });
  const Planner planner(s, method);
  const MemoryPlan given = planner.plan();
  const bool sized = s.memory.way() == rt::Memory::kBudget;
  const std::int64_t size = sized ? s.memory.bytes() : 0;

  out = {{"model", s.model.string()},
         {"method", s.method},
         {"device", s.device.str()},
         {"held", nlohmann::json::object()},
         {"held_bytes", given.held_bytes()},
         {"update",
          {{"peak_tensor_bytes", given.update.peak},
           {"sampling", given.update.sampling},
           {"scoring", given.update.scoring},
           {"training", given.update.training},
           {"graph_of_a_trained_call", given.update.graph},
           {"retained", given.update.retained}}},
         {"total_bytes", given.total()},
         {"memory", sized ? nlohmann::json(size) : nlohmann::json(nullptr)},
         {"switches", nlohmann::json::array()}};
  std::cout << "between updates\n";
  for (const auto& [name, bytes] : given.held) {
    out["held"][name] = bytes;
    line(name, bytes);
  }
  std::cout << "an update\n";
  line("sampling", given.update.sampling);
  line("decoding and scoring", given.update.scoring);
  line("training", given.update.training);
  line("its peak", given.update.peak);
  line("the graph of a trained call", given.update.graph);
  if (given.update.retained > 0)
    std::cout << "  " << std::left << std::setw(34) << "trained steps that keep theirs" << std::right << std::setw(14)
              << given.update.retained << '\n';
  std::cout << "in all\n";
  line("", given.total());
  std::cout << "with other settings, the fastest first\n";
  const auto beside = sized ? std::optional(size - given.held_bytes()) : std::nullopt;
  std::string advice;
  const auto switches = memory_switches(planner.settings(), method, beside);
  for (std::size_t i = 0; i < switches.size(); ++i) {
    const MemoryPlan other =
        planner.plan([&](const TuneSettings& of) { return memory_switches(of, method, beside).at(i).settings; });
    const bool fits = sized && other.total() <= size;
    if (fits && advice.empty()) advice = switches[i].flags;
    nlohmann::json row{
        {"flags", switches[i].flags}, {"peak_tensor_bytes", other.update.peak}, {"total_bytes", other.total()}};
    if (sized) row["fits"] = fits;
    out["switches"].push_back(std::move(row));
    std::cout << "  " << std::right << std::setw(14) << megabytes(other.total())
              << (sized ? fits ? "  fits      " : "  too large " : "  ") << switches[i].flags << '\n';
  }
  if (sized) {
    out["advice"] = advice.empty() ? nlohmann::json(nullptr) : nlohmann::json(advice);
    std::cout << rt::byte_size_text(size) << (advice.empty() ? ": none of these fits" : ": " + advice) << '\n';
  }
  outputs.write();
  return kDone;
}

void add_plan_command(CLI::App& app, Command& chosen, const std::string&) {
  static const SettingsTable table = plan_table();
  auto settings = std::make_shared<PlanSettings>();
  auto* c = app.add_subcommand("plan", "Tell what an update of `tune` takes of memory, without loading the model");
  c->add_option("--config", "take settings from a TOML file, as `rt-tune tune`")->type_name("FILE");
  add_flags(*c, table, *settings);
  c->add_option("--json", settings->json, "also write the numbers, in bytes, to this file")->type_name("FILE");
  c->footer(
      "The numbers follow from the configurations of the model's networks and are those of `tune`'s timings.jsonl\n"
      "(peak_tensor_bytes) to 10% on a CPU. With --memory SIZE the last table says which settings fit weights, "
      "optimizer\nand update into that size; `tune --memory SIZE` means the update alone.");
  c->callback([settings, &chosen] { chosen = [settings] { return plan(*settings); }; });
}

const RegisteredCommand registered_plan(6, add_plan_command);

}  // namespace
}  // namespace rt_tune
