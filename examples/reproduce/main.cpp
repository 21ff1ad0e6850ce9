// rt-reproduce: the comparisons of the DRTune paper in small, on the shipped model.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <iostream>
#include <optional>
#include <thread>

#include <CLI/CLI.hpp>
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/version.hpp>

#include "cell_run.hpp"
#include "report.hpp"
#include "workers.hpp"

namespace rt_reproduce {

namespace {

struct Arguments {
  Study study;
  bool quick = false;
  std::optional<double> cpu_seconds, kl_weight;
  std::vector<std::string> only;
  int jobs = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  std::string cell;
  int parent = 0;
  std::filesystem::path page;
};

/// The options over the defaults of their size.
Study study_of(const Arguments& a) {
  Study study = make_study(a.quick);
  study.out = a.study.out.empty() ? (a.quick ? "runs/reproduce-quick" : "runs/reproduce") : a.study.out;
  study.model = a.study.model;
  study.prompts = a.study.prompts;
  study.held_out = a.study.held_out;
  study.only = a.only;
  if (a.cpu_seconds) study.cpu_seconds = *a.cpu_seconds;
  if (a.kl_weight) study.kl_weight = *a.kl_weight;
  return study;
}

int run_one(const Arguments& a) {
  if (a.parent > 0) {  // killed, the parent cannot tell its workers
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != a.parent) return kInterrupted;
  }
  const Study study = study_of(a);
  const auto all = cells(study);
  const auto found = std::find_if(all.begin(), all.end(), [&](const Cell& cell) { return cell.name == a.cell; });
  REWARD_TUNER_CHECK(found != all.end(), "[rt-reproduce] there is no cell named '", a.cell, "'; `rt-reproduce list` names them");
  return run_cell(study, *found);
}

int list(const Arguments& a) {
  const Study study = study_of(a);
  for (const auto& cell : cells(study)) std::cout << cell.name << (std::filesystem::exists(study.out / cell.name / "report.json") ? "  done" : "") << '\n';
  return kDone;
}

int report(const Arguments& a) {
  const Study study = study_of(a);
  const bool beside = a.quick || !a.page.empty();  // the committed page is of the full study
  const std::filesystem::path page = !a.page.empty() ? a.page : a.quick ? study.out / "reproduction.md" : std::filesystem::path("docs/reproduction.md");
  write_report(study, page, page.parent_path() / (beside ? page.stem() : std::filesystem::path("reproduction")));
  std::cout << page.string() << std::endl;
  return kDone;
}

int run(int argc, char** argv) {
  CLI::App app("Repeats the comparisons of Wu et al. 2024 (DRTune) in small. Every cell is a run in a folder of its own; what was killed is resumed, what is done is kept.", "rt-reproduce");
  app.set_version_flag("--version", std::string(reward_tuner::kVersion));
  app.require_subcommand(1);
  Arguments a;
  const auto common = [&a](CLI::App* c) {
    c->add_option("--out", a.study.out, "folder of the study; default: runs/reproduce, or runs/reproduce-quick")->type_name("DIR");
    c->add_flag("--quick", a.quick, "small budgets, one seed, fewer points: minutes");
    c->add_option("--model", a.study.model, "folder of the model")->type_name("DIR")->capture_default_str();
    c->add_option("--prompts", a.study.prompts, "training prompts")->type_name("FILE")->capture_default_str();
    c->add_option("--eval-prompts", a.study.held_out, "held-out prompts")->type_name("FILE")->capture_default_str();
    c->add_option("--cpu-seconds", a.cpu_seconds, "CPU time of the updates of a cell; default: 75, quick 6");
    c->add_option("--kl-weight", a.kl_weight, "weight of the distance to the untuned network, in all cells");
    c->add_option("--only", a.only, "cells whose names begin so (may be repeated)")->type_name("TEXT");
  };
  auto* all = app.add_subcommand("drtune", "Run every cell that is not done");
  common(all);
  all->add_option("--jobs", a.jobs, "worker processes of one thread each; default: one a core");
  auto* one = app.add_subcommand("run-cell", "Run one cell (what a worker does)");
  common(one);
  one->add_option("NAME", a.cell, "as `rt-reproduce list` says")->required();
  one->add_option("--parent", a.parent, "process to die with")->type_name("PID");
  auto* names = app.add_subcommand("list", "Name the cells");
  common(names);
  auto* page = app.add_subcommand("report", "Write tables, plots and grids from the cells that are done");
  common(page);
  page->add_option("--page", a.page, "markdown file to write; default: docs/reproduction.md, or reproduction.md in the study's folder with --quick")->type_name("FILE");
  app.footer("Exit codes: 0 done; 1 an error or a failed cell; 2 wrong usage; 130 interrupted: start again to go on.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& problem) {
    app.exit(problem);
    return kUsage;
  }
  if (*all) return run_cells(study_of(a), a.jobs);
  if (*one) return run_one(a);
  if (*names) return list(a);
  return report(a);
}

}  // namespace
}  // namespace rt_reproduce

int main(int argc, char** argv) {
  // Tensors come and go all the time: memory given back to the system at every free would be cleared anew at every allocation.
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);
  ::mallopt(M_TRIM_THRESHOLD, INT_MAX);
  at::globalContext().setFlushDenormal(true);
  at::set_num_threads(1);  // work is shared out by cells
  try {
    return rt_reproduce::run(argc, argv);
  } catch (const c10::Error& problem) {
    std::cerr << "error: " << problem.what_without_backtrace() << '\n';
  } catch (const std::exception& problem) {
    std::cerr << "error: " << problem.what() << '\n';
  }
  return rt_reproduce::kFailed;
}
