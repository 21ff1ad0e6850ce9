// The disk refuses: every system call of a save fails in its turn, once and for good, and nothing that was there before
// is lost.
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/rand.h>
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/report/curve_plot.hpp>
#include <reward_tuner/report/metrics_log.hpp>
#include <reward_tuner/report/png.hpp>

#include <tests/reference/file_bytes.hpp>
#include <tests/reference/small_run.hpp>
#include <tests/reference/tiny_folder.hpp>
#include <tests/robustness/disk_faults.hpp>

namespace failing_disk_test {
namespace {

namespace rt = reward_tuner;

using rt::reference::bytes;
using rt::reference::DiskCall;
using rt::reference::DiskFault;

/// The call that fails: `countdown` calls go through before it. Negative: none fails.
struct Fault {
  long countdown = -1;
  bool lasting = false;  ///< all calls after it fail, too
  bool struck = false;
  long calls = 0;  ///< counted in any case
};
Fault fault;
long calls = 0;  ///< of the last work

bool strikes() {
  ++fault.calls;
  if (fault.struck && fault.lasting) return true;
  if (fault.countdown < 0 || fault.struck || fault.countdown-- > 0) return false;
  return fault.struck = true;
}

/// Of calls that write into a temporary folder.
DiskFault rule(DiskCall call, const char* path, bool creates, std::size_t size) {
  const bool writes = call == DiskCall::kWrite || call == DiskCall::kFsync || call == DiskCall::kRename ||
                      (call == DiskCall::kOpen && creates);
  if (!writes || std::string_view(path).find("/reward-tuner-") == std::string_view::npos || !strikes()) return {};
  if (!fault.lasting || call != DiskCall::kWrite || size <= 1 || fault.countdown == -2) return {.error = ENOSPC};
  fault.countdown = -2;  // the last room is used up before the disk is full
  return {.at_most = size / 2};
}

std::ptrdiff_t entries(const std::filesystem::path& folder) {
  return std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator());
}

/// The rule holds while this lives.
struct Faulty {
  Faulty() { rt::reference::disk_rule = rule; }
  ~Faulty() { rt::reference::disk_rule = nullptr; }
};

/// What `work` says when the call after `countdown` ones fails; empty if it does not get that far.
template <class Work>
std::string error_of(long countdown, bool lasting, Work work) {
  fault = {.countdown = countdown, .lasting = lasting};
  const Faulty faulty;
  std::string message;
  try {
    work();
  } catch (const rt::Error& error) {
    message = error.what();
  } catch (...) {
    fault = {};
    throw;
  }
  const bool struck = fault.struck;
  calls = fault.calls;
  fault = {};
  REQUIRE(struck == !message.empty());  // no failure goes unnoticed
  return message;
}

rt::Checkpoint numbered(std::int64_t update) {
  rt::Checkpoint checkpoint;
  checkpoint.tensors = {{"weights", at::full({64}, static_cast<double>(update), at::kFloat)},
                        {"rng", at::arange(32, at::kByte)}};
  checkpoint.state = {{"update", update}};
  return checkpoint;
}

bool holds(const rt::CheckpointFolder& folder, std::int64_t update) {
  const auto found = folder.load(update), wanted = numbered(update);
  return found.state == wanted.state && at::equal(found.tensors.at("weights"), wanted.tensors.at("weights")) &&
         at::equal(found.tensors.at("rng"), wanted.tensors.at("rng"));
}

}  // namespace

TEST_CASE("a disk that is full at any call of a checkpoint's save is a named error, and the older checkpoint stays") {
  int stages = 0;
  for (const bool lasting : {false, true}) {
    for (long n = 0;; ++n) {
      CAPTURE(n);
      CAPTURE(lasting);
      const rt::reference::TemporaryFolder folder;
      const rt::CheckpointFolder checkpoints(folder / "checkpoints", 1);
      checkpoints.save(1, numbered(1));
      const std::string message = error_of(n, lasting, [&] { checkpoints.save(2, numbered(2)); });
      if (message.empty()) break;
      ++stages;
      CHECK(message.find("[File] could not") == 0);
      CHECK(message.find("the disk is full") != std::string::npos);
      CHECK(holds(checkpoints, 1));
      // the flush of the folder failed, or what removes the older one
      if (checkpoints.latest() == 2) CHECK(holds(checkpoints, 2));
      else checkpoints.save(2, numbered(2));  // with room again
      CHECK(checkpoints.latest() == 2);
      CHECK(holds(checkpoints, 2));
      checkpoints.save(3, numbered(3));
      CHECK(entries(folder / "checkpoints") == 1);
    }
  }
  MESSAGE(stages, " failing calls");
  CHECK(stages >= 20);
}

TEST_CASE("a disk that is full at any call leaves the old adapter, report, image and curve") {
  const rt::reference::TemporaryFolder folder;
  rt::reference::write_tiny_model(folder / "model", REWARD_TUNER_TEST_DATA "/tokenizer");
  auto pipeline = rt::StableDiffusion::load(folder / "model");
  const auto lora = rt::Lora::attach(pipeline.unet(), {.rank = 1, .targets = {"to_q"}});
  const auto sweep = [&](const char* name, const auto& write_old, const auto& write_new) {
    CAPTURE(name);
    const auto place = folder / (std::string(name) + ".d");
    std::filesystem::create_directory(place);
    const auto file = place / name;
    write_new(file);
    const std::string fresh = bytes(file);
    int stages = 0;
    for (const bool lasting : {false, true}) {
      for (long n = 0;; ++n) {
        CAPTURE(n);
        write_old(file);
        const std::string old = bytes(file);
        REQUIRE(old != fresh);
        const std::string message = error_of(n, lasting, [&] { write_new(file); });
        if (message.empty()) break;
        ++stages;
        CHECK(message.find("the disk is full") != std::string::npos);
        const std::string now = bytes(file);
        CHECK((now == old || now == fresh));  // fresh: only the flush of the folder failed
        CHECK(entries(place) == 1);
      }
    }
    CHECK(stages >= 8);
  };
  sweep(
      "pytorch_lora_weights.safetensors", [](const auto& file) { std::ofstream(file) << "old"; },
      [&](const auto& file) { lora.save(file); });
  sweep(
      "report.json", [](const auto& file) { rt::write_json(file, {{"old", 1}}); },
      [](const auto& file) { rt::write_json(file, {{"reward", 0.5}}); });
  sweep(
      "before_after.png", [](const auto& file) { rt::write_png(file, at::zeros({3, 4, 4})); },
      [](const auto& file) { rt::write_png(file, at::ones({3, 4, 4})); });
  const auto curve = [](double y) {
    return rt::CurvePlot{
        .title = "t", .x_label = "x", .y_label = "y", .series = {{.name = "s", .x = {0, 1}, .y = {0, y}}}};
  };
  sweep(
      "reward.svg", [&](const auto& file) { rt::write_curve_svg(file, curve(1)); },
      [&](const auto& file) { rt::write_curve_svg(file, curve(2)); });
}

TEST_CASE("a run that a full disk ended at any call resumes to the bytes of an undisturbed run") {
  const rt::reference::TemporaryFolder folder;
  const auto model = folder / "model";
  rt::reference::write_tiny_model(model, REWARD_TUNER_TEST_DATA "/tokenizer");
  auto options = rt::reference::small_run_options(4, 2, 2);
  options.tensorboard = false;
  auto again = options;
  again.resume = true;
  REQUIRE(error_of(-1, false, [&] { rt::reference::small_run(model, folder / "whole", options); }).empty());
  const long all = calls;
  std::mt19937_64 random(7);
  int ended = 0;
  for (int i = 0; i < 24; ++i) {
    const long n = static_cast<long>(random() % static_cast<std::uint64_t>(all));
    CAPTURE(n);
    const auto run = folder / ("run" + std::to_string(i));
    const std::string message = error_of(n, i % 2 == 0, [&] { rt::reference::small_run(model, run, options); });
    CHECK(message.find("No space left on device") != std::string::npos);
    ++ended;
    const bool resumable = rt::CheckpointFolder(run / "checkpoints").latest().has_value();
    if (!resumable) std::filesystem::remove_all(run);
    rt::reference::small_run(model, run, resumable ? again : options);
    for (const char* file : {"metrics.jsonl", "evaluations.jsonl", "lora/pytorch_lora_weights.safetensors",
                             "checkpoints/update-000004/tensors.safetensors"})
      CHECK_MESSAGE(bytes(folder / "whole" / file) == bytes(run / file), file);
  }
  MESSAGE(ended, " of ", all, " calls of a run failed");
}

TEST_CASE("a full disk under metrics.jsonl is a named error, whole lines stay, and the run resumes") {
  const rt::reference::TemporaryFolder folder;
  const auto model = folder / "model";
  rt::reference::write_tiny_model(model, REWARD_TUNER_TEST_DATA "/tokenizer");
  auto options = rt::reference::small_run_options(6, 0, 2);
  options.tensorboard = false;
  rt::reference::small_run(model, folder / "whole", options);
  const auto run = folder / "run";
  const ::pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    options.on_update = [&](const rt::UpdateReport& report) {
      if (report.update != 3) return;
      // room for twenty more bytes: the next line is torn
      const ::rlimit limit{std::filesystem::file_size(run / "metrics.jsonl") + 20, RLIM_INFINITY};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    };
    try {
      rt::reference::small_run(model, run, options);
    } catch (const rt::Error& error) {
      ::_exit(std::string(error.what()).find("[MetricsLog] expected to append a line") == 0 ? 42 : 43);
    } catch (...) {
    }
    ::_exit(44);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 42);
  const std::string whole = bytes(folder / "whole" / "metrics.jsonl"), torn = bytes(run / "metrics.jsonl");
  CHECK(torn == whole.substr(0, torn.size()));
  CHECK(torn.back() != '\n');
  CHECK(rt::CheckpointFolder(run / "checkpoints").latest() == 2);
  auto again = options;
  again.resume = true;
  rt::reference::small_run(model, run, again);
  for (const char* file : {"metrics.jsonl", "evaluations.jsonl", "lora/pytorch_lora_weights.safetensors",
                           "checkpoints/update-000006/tensors.safetensors"})
    CHECK_MESSAGE(bytes(folder / "whole" / file) == bytes(run / file), file);
}

}  // namespace failing_disk_test
