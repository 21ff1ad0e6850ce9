// One process a cell: equal conditions for all of them, and a crash ends one cell only.
#include "workers.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <map>
#include <thread>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/report/progress_bar.hpp>
#include <reward_tuner/run/interrupt_guard.hpp>

#include "cell_run.hpp"
#include "studies.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

namespace {

using Clock = std::chrono::steady_clock;

struct Worker {
  const Cell* cell;
  Clock::time_point begin;
};

/// A folder holds cells of one study only.
void claim_folder(const Study& study) {
  const auto file = study.out / "study.json";
  const auto settings = study_settings(study);
  std::filesystem::create_directories(study.out);
  if (!std::filesystem::exists(file)) return rt::write_json(file, settings);
  const auto found = rt::read_json(file);
  REWARD_TUNER_CHECK(found == settings, "[rt-reproduce] '", study.out.string(), "' holds cells of other settings (",
                     nlohmann::json::diff(found, settings).dump(), "): name another folder or remove it first");
}

std::vector<std::string> worker_arguments(const Study& study, const Cell& cell) {
  std::vector<std::string> arguments = {
      "/proc/self/exe",
      "run-cell",
      cell.name,
      "--study",
      study_name(study.kind),
      "--out",
      study.out.string(),
      "--model",
      study.model.string(),
      "--prompts",
      study.prompts.string(),
      "--eval-prompts",
      study.held_out.string(),
      "--task-prompts",
      study.task_prompts.string(),
      study.rounds > 0 ? "--rounds" : "--cpu-seconds",
      study.rounds > 0 ? std::to_string(study.rounds) : std::to_string(study.cpu_seconds),
      "--kl-weight",
      std::to_string(study.kl_weight),
      "--seeds",
      std::to_string(study.seeds),
      "--parent",
      std::to_string(::getpid())};
  if (study.quick) arguments.emplace_back("--quick");
  return arguments;
}

::pid_t spawn(const Study& study, const Cell& cell) {
  const auto arguments = worker_arguments(study, cell);
  std::vector<char*> pointers;
  for (const auto& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  ::pid_t child = 0;
  ::posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);  // Ctrl-C reaches the workers through us, once
  ::posix_spawnattr_setpgroup(&attributes, 0);
  const int code = ::posix_spawn(&child, pointers[0], nullptr, &attributes, pointers.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  REWARD_TUNER_CHECK(code == 0, "[rt-reproduce] could not start a worker: error ", code);
  return child;
}

}  // namespace

int run_cells(const Study& study, int jobs) {
  REWARD_TUNER_CHECK(jobs >= 1, "[rt-reproduce] --jobs expected a number >= 1, got ", jobs);
  claim_folder(study);
  const auto all = cells(study);
  REWARD_TUNER_CHECK(!all.empty(), "[rt-reproduce] no cell has a name that --only asks for");
  std::vector<const Cell*> waiting;
  for (const auto& cell : all)
    if (!finished(study, cell.name)) waiting.push_back(&cell);
  std::reverse(waiting.begin(), waiting.end());  // the next one is the last
  ::setenv("OMP_NUM_THREADS", "1", 1);
  const rt::InterruptGuard guard;
  const auto total = all.size();
  auto done = total - waiting.size();
  std::size_t finished = 0, failed = 0;
  const auto begin = Clock::now();
  std::cerr << done << " of " << total << " cells are done, " << jobs << (jobs == 1 ? " worker" : " workers")
            << std::endl;
  std::map<::pid_t, Worker> workers;
  bool told = false;
  while (!workers.empty() || (!waiting.empty() && !rt::InterruptGuard::interrupted())) {
    while (!rt::InterruptGuard::interrupted() && !waiting.empty() && workers.size() < static_cast<std::size_t>(jobs)) {
      workers.emplace(spawn(study, *waiting.back()), Worker{waiting.back(), Clock::now()});
      waiting.pop_back();
    }
    if (rt::InterruptGuard::interrupted() && !told) {
      for (const auto& [pid, worker] : workers) ::kill(pid, SIGTERM);
      told = true;
    }
    int status = 0;
    const ::pid_t ended = ::waitpid(-1, &status, WNOHANG);
    const auto found = workers.find(ended);
    if (ended <= 0 || found == workers.end()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      continue;
    }
    const Worker worker = found->second;
    workers.erase(found);
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : kFailed;
    if (told && code != kDone) continue;
    const double now = std::chrono::duration<double>(Clock::now() - begin).count(),
                 took = std::chrono::duration<double>(Clock::now() - worker.begin).count();
    ++finished;
    if (code == kDone) ++done;
    else ++failed;
    const double left = now / static_cast<double>(finished) * static_cast<double>(waiting.size() + workers.size());
    std::cerr << done << "/" << total << "  " << worker.cell->name << (code == kDone ? "" : " FAILED") << "  "
              << rt::format_duration(took) << ", ETA " << rt::format_duration(left) << std::endl;
  }
  if (rt::InterruptGuard::interrupted()) {
    std::cerr << "interrupted with " << done << " of " << total << " cells done; start again to go on" << std::endl;
    return kInterrupted;
  }
  if (failed > 0) std::cerr << failed << " cells failed; start again to try them once more" << std::endl;
  return failed > 0 ? kFailed : kDone;
}

}  // namespace rt_reproduce
