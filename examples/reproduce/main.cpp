// rt-reproduce: comparisons of several papers in small, on the shipped model.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <csignal>
#include <iostream>
#include <map>
#include <optional>
#include <thread>

#include <CLI/CLI.hpp>
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/version.hpp>
#include <reward_tuner/files/output_path.hpp>

#include "cell_run.hpp"
#include "profile.hpp"
#include "report.hpp"
#include "workers.hpp"
#include "studies.hpp"

namespace rt_reproduce {

namespace {

struct Arguments {
  std::string kind = "drtune";
  std::filesystem::path out;
  std::optional<std::filesystem::path> model, prompts, held_out, task_prompts;
  bool quick = false;
  std::optional<double> cpu_seconds, kl_weight;
  std::optional<int> seeds, rounds;
  std::vector<std::string> only;
  int jobs = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  std::string cell;
  int parent = 0;
  std::filesystem::path page;
};

/// The options over the defaults of the study and its size.
Study study_of(const Arguments& a) {
  Study study = make_study(study_kind(a.kind), a.quick);
  const std::string folder = study.kind == StudyKind::kDrtune ? "runs/reproduce" : "runs/reproduce-" + a.kind;
  study.out = !a.out.empty() ? a.out : std::filesystem::path(folder + (a.quick ? "-quick" : ""));
  if (a.model) study.model = *a.model;
  if (a.prompts) study.prompts = *a.prompts;
  if (a.held_out) study.held_out = *a.held_out;
  if (a.task_prompts) study.task_prompts = *a.task_prompts;
  study.only = a.only;
  if (a.rounds) {
    REWARD_TUNER_CHECK(study.rounds > 0, "[rt-reproduce] --rounds expected a study whose cells have rounds, got ",
                       a.kind, ": --cpu-seconds ends its cells");
    Settings& s = study.settings;  // as many evaluations
    if (s.evaluate_every > 0)
      s.evaluate_every =
          std::max(1, static_cast<int>(std::lround(double(s.evaluate_every) * *a.rounds / study.rounds)));
    study.rounds = *a.rounds;
  }
  if (a.cpu_seconds) {
    REWARD_TUNER_CHECK(study.rounds == 0, "[rt-reproduce] --cpu-seconds expected a study that CPU time ends, got ",
                       a.kind, ": --rounds ends its cells");
    REWARD_TUNER_CHECK(*a.cpu_seconds > 0 && std::isfinite(*a.cpu_seconds),
                       "[rt-reproduce] --cpu-seconds expected a finite number above 0, got ", *a.cpu_seconds);
    study.cpu_seconds = *a.cpu_seconds;
  }
  if (a.seeds) study.seeds = *a.seeds;
  REWARD_TUNER_CHECK(!a.kl_weight || (*a.kl_weight >= 0 && std::isfinite(*a.kl_weight)),
                     "[rt-reproduce] --kl-weight expected a finite number >= 0, got ", *a.kl_weight);
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
  REWARD_TUNER_CHECK(found != all.end(), "[rt-reproduce] there is no cell named '", a.cell,
                     "'; `rt-reproduce list` names them");
  return run_cell(study, *found);
}

int list(const Arguments& a) {
  const Study study = study_of(a);
  for (const auto& cell : cells(study)) std::cout << cell.name << (finished(study, cell.name) ? "  done" : "") << '\n';
  return kDone;
}

int report(const Arguments& a) {
  const Study study = study_of(a);
  const bool beside = a.quick || !a.page.empty();  // the committed page is of the full study
  const std::string name = study.kind == StudyKind::kDrtune ? "reproduction" : "reproduction_" + a.kind;
  const std::filesystem::path page = !a.page.empty() ? a.page
                                     : a.quick       ? study.out / (name + ".md")
                                                     : std::filesystem::path("docs") / (name + ".md");
  reward_tuner::prepare_output_file(page);
  write_report(study, page, page.parent_path() / (beside ? page.stem() : std::filesystem::path(name)));
  std::cout << page.string() << std::endl;
  return kDone;
}

int run(int argc, char** argv) {
  CLI::App app(
      "Repeats comparisons of several papers in small. Every cell is a run in a folder of its own; what was killed is "
      "resumed, what is done is kept.",
      "rt-reproduce");
  app.set_version_flag("--version", std::string(reward_tuner::kVersion));
  app.require_subcommand(1);
  Arguments a;
  const auto common = [&a](CLI::App* c) {
    c->add_option("--out", a.out, "folder of the study; default: runs/reproduce[-STUDY][-quick]")->type_name("DIR");
    c->add_flag("--quick", a.quick, "small budgets, one seed, fewer points: minutes");
    c->add_option("--model", a.model, "folder of the model; default: examples/models/tiny-shapes")->type_name("DIR");
    c->add_option("--prompts", a.prompts, "training prompts; default: the study's")->type_name("FILE");
    c->add_option("--eval-prompts", a.held_out, "held-out prompts; default: the study's")->type_name("FILE");
    c->add_option("--task-prompts", a.task_prompts,
                  "lsrl: folder of the parity task's prompt files; default: examples/tune")
        ->type_name("DIR");
    c->add_option("--cpu-seconds", a.cpu_seconds, "drtune: CPU time of the updates of a cell; default: 75, quick 6");
    c->add_option("--rounds", a.rounds, "others: rounds of a cell; default: the study's")->check(CLI::PositiveNumber);
    c->add_option("--seeds", a.seeds, "how many of each cell; default: 8, of drtune 3, quick 1")
        ->check(CLI::PositiveNumber);
    c->add_option("--kl-weight", a.kl_weight, "drtune: weight of the distance to the untuned network, in all cells");
    c->add_option("--only", a.only, "cells whose names begin so (may be repeated)")->type_name("TEXT");
  };
  const auto of_study = [&a](CLI::App* c) {
    c->add_option("--study", a.kind, "the study")->check(CLI::IsMember(study_names()))->capture_default_str();
  };
  const std::map<std::string, std::string> papers = {{"drtune", "Wu et al. 2024"},
                                                     {"b2", "B2-DiffuRL, Hu et al. 2025"},
                                                     {"diffexp", "DiffExp, 2025"},
                                                     {"lsrl", "Large-scale RL, Zhang et al. 2024"}};
  for (const auto& name : study_names()) {
    auto* all = app.add_subcommand(name, "Run every cell that is not done: " + papers.at(name));
    common(all);
    all->add_option("--jobs", a.jobs, "worker processes of one thread each; default: one a core");
  }
  auto* one = app.add_subcommand("run-cell", "Run one cell (what a worker does)");
  common(one);
  of_study(one);
  one->add_option("NAME", a.cell, "as `rt-reproduce list` says")->required();
  one->add_option("--parent", a.parent, "process to die with")->type_name("PID");
  auto* names = app.add_subcommand("list", "Name the cells");
  common(names);
  of_study(names);
  auto* page = app.add_subcommand("report", "Write tables, plots and grids from the cells that are done");
  common(page);
  of_study(page);
  page->add_option("--page", a.page,
                   "markdown file to write; default: docs/reproduction[_STUDY].md, or that name in the study's folder "
                   "with --quick")
      ->type_name("FILE");
  ProfileSettings profiled = profile_settings();
  auto* meter = app.add_subcommand("profile",
                                   "Measure what each sampler step carries of a reward's gradient, and of "
                                   "the noise of methods that learn from samples, before training");
  meter->add_option("--model", profiled.model, "folder of the model")->type_name("DIR")->capture_default_str();
  meter->add_option("--lora", profiled.loras, "a LoRA that is a part of it, at strength SCALE")
      ->type_name("PATH[:SCALE]");
  meter->add_option("--prompts", profiled.prompts, "prompts")->type_name("FILE")->capture_default_str();
  meter->add_option("--reward", profiled.rewards, "as of rt-tune")->type_name("NAME[:W]")->capture_default_str();
  meter->add_option("--reward-model", profiled.reward_models, "as of rt-tune")->type_name("NAME=PATH");
  meter->add_option("--steps", profiled.steps, "sampler steps T")->capture_default_str();
  meter->add_option("--guidance", profiled.guidance, "guidance scale")->capture_default_str();
  meter->add_option("--eta", profiled.eta, "share of noise in a DDIM step, above 0, at most 1; default: 1");
  meter->add_option("--rank", profiled.rank, "rank of the LoRA whose gradient it is")->capture_default_str();
  meter->add_option("--targets", profiled.targets, "its layers, as of rt-tune")->capture_default_str();
  meter->add_option("--batches", profiled.batches, "independent batches")->capture_default_str();
  meter->add_option("--batch", profiled.batch, "prompts of a batch")->capture_default_str();
  meter->add_option("--samples-per-prompt", profiled.samples_per_prompt, "images of each")->capture_default_str();
  meter->add_option("--seed", profiled.seed, "of prompts, noise and the LoRA's start")->capture_default_str();
  meter->add_option("--json", profiled.json, "where to write all numbers")->type_name("FILE");
  meter->add_option("--plot", profiled.plot, "where to write the shares of the steps")->type_name("FILE.svg");
  app.footer("Exit codes: 0 done; 1 an error or a failed cell; 2 wrong usage; 130 interrupted: start again to go on.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& problem) {
    app.exit(problem);
    return kUsage;
  }
  for (const auto& name : study_names())
    if (app.got_subcommand(name)) {
      a.kind = name;
      return run_cells(study_of(a), a.jobs);
    }
  if (*meter) return profile(profiled), kDone;
  if (*one) return run_one(a);
  if (*names) return list(a);
  return report(a);
}

}  // namespace
}  // namespace rt_reproduce

int main(int argc, char** argv) {
  // Tensors come and go all the time: memory given back to the system at every free would be cleared anew at every
  // allocation.
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
