// Runs that are killed and resumed, and what must not depend on that.
#pragma once
#include <ATen/Parallel.h>
#include <ATen/ops/equal.h>
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <string>

#include <tests/reference/file_bytes.hpp>
#include <tests/reference/small_run.hpp>
#include <tests/reference/tiny_folder.hpp>

namespace reward_tuner::reference {

/// A tiny model folder for tests that fork.
struct TinyModel {
  TinyModel() {
    at::set_num_threads(1);
    write_tiny_model(folder / "model", REWARD_TUNER_TEST_DATA "/tokenizer");
  }
  std::filesystem::path path() const { return folder / "model"; }
  TemporaryFolder folder;
};

/// What must not depend on interruptions.
inline void check_same_run(const std::filesystem::path& a, const std::filesystem::path& b, std::int64_t update) {
  const auto first = CheckpointFolder(a / "checkpoints").load(update),
             second = CheckpointFolder(b / "checkpoints").load(update);
  REQUIRE(first.tensors.size() == second.tensors.size());
  for (const auto& entry : first.tensors)
    CHECK_MESSAGE(at::equal(entry.second, second.tensors.at(entry.first)), entry.first);
  CHECK(first.state.at("tuner") == second.state.at("tuner"));
  CHECK(first.state.at("progress").at("rewards") == second.state.at("progress").at("rewards"));
  for (const char* file :
       {"metrics.jsonl", "evaluations.jsonl", "before_after.png", "lora/pytorch_lora_weights.safetensors"})
    CHECK_MESSAGE(bytes(a / file) == bytes(b / file), file);
}

/// Runs in a child process that is expected to die by SIGKILL.
template <class Work>
void killed(Work work) {
  const ::pid_t child = ::fork();
  if (child == 0) {
    try {
      work();
    } catch (...) {
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFSIGNALED(status));
}

/// Six updates of the tuner that `make_tuner()` gives: uninterrupted, killed between updates and resumed, interrupted
/// politely and resumed, and continued beyond its end.
template <class MakeTuner>
void check_resumes(const std::filesystem::path& model, MakeTuner make_tuner) {
  const TemporaryFolder runs;
  const auto options = [](bool resume) {
    TrainerOptions o = small_run_options(6, 3, 2);
    o.resume = resume;
    return o;
  };
  const auto run = [&](const std::string& folder, const TrainerOptions& o) {
    return small_run_of(make_tuner(), model, runs / folder, o);
  };
  CHECK(run("whole", options(false)).end == RunEnd::kCompleted);
  for (const std::int64_t last : {1, 3, 4}) {
    CAPTURE(last);
    const std::string folder = "killed" + std::to_string(last);
    auto dies = options(false);
    dies.on_update = [last](const UpdateReport& report) {
      if (report.update == last) ::kill(::getpid(), SIGKILL);
    };
    killed([&] { run(folder, dies); });
    CHECK(run(folder, options(true)).end == RunEnd::kCompleted);
    check_same_run(runs / "whole", runs / folder, 6);
  }
  auto polite = options(false);
  int asked = 0;
  polite.interrupted = [&] { return ++asked >= 5; };
  CHECK(run("polite", polite).end == RunEnd::kInterrupted);
  run("polite", options(true));
  check_same_run(runs / "whole", runs / "polite", 6);
  auto half = options(false);
  half.updates = 3;
  run("half", half);
  run("half", options(true));
  check_same_run(runs / "whole", runs / "half", 6);
}

}  // namespace reward_tuner::reference
