// A whole run, and a resume of one, once for every call that they make on their files, with an error at that call:
// open, read, map, write, fsync, rename, mkdir, close and remove. It ends with an error that names file and reason, or
// with the bytes of an undisturbed run; and a run that has ended with an error resumes to these bytes.
// REWARD_TUNER_EVERY_CALL=all takes every call; otherwise every save's of the run and every so many of the others, from
// a place that the variable's number gives.
#include <torch/types.h>  // before doctest: both have a CHECK

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <new>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <reward_tuner/report/tensorboard.hpp>
#include <reward_tuner/run/prompt_stream.hpp>

#include <tests/reference/file_bytes.hpp>
#include <tests/reference/small_run.hpp>
#include <tests/reference/tiny_folder.hpp>
#include <tests/robustness/disk_faults.hpp>

namespace every_call_test {
namespace {

namespace rt = reward_tuner;
namespace fs = std::filesystem;
using rt::reference::bytes;
using rt::reference::DiskCall;
using rt::reference::DiskFault;

constexpr int kKinds = static_cast<int>(DiskCall::kRemove) + 1;
constexpr std::array<const char*, kKinds> kNames = {"open",   "read",  "map",   "write", "fsync",
                                                    "rename", "mkdir", "close", "remove"};

/// How a call of a kind fails.
struct Manner {
  DiskCall call = DiskCall::kOpen;
  const char* name = "";
  int error = 0;           ///< 0: half of the bytes go through
  bool survived = false;   ///< the run must not end
  bool lasting = false;    ///< half of the bytes go through, and nothing from then on
  std::size_t stride = 1;  ///< in ctest every so many calls
};
const Manner kManners[] = {
    {DiskCall::kOpen, "EIO", EIO, false, false, 11},  {DiskCall::kOpen, "EINTR", EINTR, false, false, 53},
    {DiskCall::kRead, "EIO", EIO, false, false, 23},  {DiskCall::kRead, "EINTR", EINTR, true, false, 101},
    {DiskCall::kRead, "half", 0, true, false, 101},   {DiskCall::kMap, "ENOMEM", ENOMEM, false, false, 3},
    {DiskCall::kWrite, "EIO", EIO, false, false, 1},  {DiskCall::kWrite, "EINTR", EINTR, true, false, 17},
    {DiskCall::kWrite, "half", 0, true, false, 17},   {DiskCall::kWrite, "full disk", ENOSPC, false, true, 9},
    {DiskCall::kFsync, "EIO", EIO, false, false, 1},  {DiskCall::kFsync, "EINTR", EINTR, true, false, 17},
    {DiskCall::kRename, "EIO", EIO, false, false, 1}, {DiskCall::kMakeFolder, "ENOSPC", ENOSPC, false, false, 1},
    {DiskCall::kClose, "EIO", EIO, false, false, 23}, {DiskCall::kRemove, "EIO", EIO, false, false, 3},
};

/// What parent and child see: the fault, and what came of it.
struct Shared {
  std::array<char, 4096> root{};  ///< of the files that count
  const Manner* manner = nullptr;
  long number = -1;
  bool struck = false;
  std::array<long, kKinds> calls{};
  std::array<char, 4096> path{};     ///< of the failed call
  std::array<char, 8192> message{};  ///< of the exception
};
Shared* shared = nullptr;

template <std::size_t N>
void put(std::array<char, N>& into, std::string_view text) {
  into[text.copy(into.data(), N - 1)] = '\0';
}

DiskFault rule(DiskCall call, const char* path, bool, std::size_t size) {
  if (!std::string_view(path).starts_with(shared->root.data())) return {};
  const long number = shared->calls[static_cast<std::size_t>(call)]++;
  const Manner* manner = shared->manner;
  if (manner == nullptr || call != manner->call) return {};
  if (number < shared->number || (number > shared->number && !manner->lasting)) return {};
  // a folder is not read in bytes, nothing interrupts it
  if (manner->survived && size == 0 && call == DiskCall::kRead) return {};
  if (!shared->struck) put(shared->path, path);
  shared->struck = true;
  if (manner->error == 0 || (manner->lasting && number == shared->number && size > 1))
    return {.at_most = std::max<std::size_t>(1, size / 2)};
  return {.error = manner->error};
}

/// Everything a program does with its files: a model's folder, prompts read while it runs, logs, images, checkpoints,
/// the report and the adapter.
void program(const fs::path& root, bool resume, const std::function<void(const rt::UpdateReport&)>& on_update) {
  auto pipeline = rt::StableDiffusion::load(root / "model");
  const auto lora = rt::Lora::attach(pipeline.unet(), {.rank = 2, .targets = {"all"}});
  rt::AdamW optimizer(lora.parameters(), {.learning_rate = 1e-2});
  auto tuner = rt::make<rt::DRTune, rt::AnySampler, rt::KlToReference>(
      rt::SymmetryReward(), {.sampler = {.num_steps = 2, .guidance = 2.0, .eta = 0.5},
                             .steps = {.num_trained = 1, .max_early_stop = 1},
                             .regularizer = {.weight = 0.1}});
  auto options = rt::reference::small_run_options(2, 2, 1);
  options.resume = resume;
  options.on_update = on_update;
  rt::Trainer trainer(tuner, pipeline, optimizer, rt::PromptStream(root / "prompts.txt", {.seed = 5}),
                      {root / "run",
                       rt::trained_weights(lora),
                       rt::evaluation_pairs(rt::read_prompts(root / "held_out.txt"), 1, 100),
                       {.method = "drtune", .reward = "symmetry", .model = "tiny"}},
                      options);
  trainer.run();
}

enum class End { kFinished, kNamedError, kOtherError, kCrash, kHang };

/// The program in a process of its own; with a manner the call `number` of its kind fails.
End live(const fs::path& root, bool resume, const Manner* manner = nullptr, long number = -1,
         const std::function<void(const rt::UpdateReport&)>& on_update = {}) {
  new (shared) Shared;
  put(shared->root, root.string() + "/");
  shared->manner = manner;
  shared->number = number;
  const ::pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    rt::reference::disk_rule = rule;
    try {
      program(root, resume, on_update);
    } catch (const rt::Error& error) {
      put(shared->message, error.what());
      ::_exit(1);
    } catch (const std::exception& error) {
      put(shared->message, error.what());
      ::_exit(2);
    } catch (...) {
      ::_exit(2);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status)) return WEXITSTATUS(status) <= 2 ? static_cast<End>(WEXITSTATUS(status)) : End::kCrash;
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? End::kHang : End::kCrash;
}

bool is_event_file(const std::string& name) { return name.starts_with("events.out.tfevents."); }

/// Whole records of the event file that was begun last.
std::size_t event_records(const fs::path& run) {
  std::string newest;
  for (const auto& entry : fs::directory_iterator(run))
    if (is_event_file(entry.path().filename().string())) newest = std::max(newest, entry.path().filename().string());
  const std::string text = bytes(run / newest);
  std::size_t records = 0, at = 0;
  while (at + 12 <= text.size()) {
    std::uint64_t length = 0;
    std::memcpy(&length, text.data() + at, sizeof length);
    if (length > text.size() || at + 16 + length > text.size()) return 0;
    const std::string payload = text.substr(at + 12, length);
    if (rt::detail::tfrecord(payload) != text.substr(at, 16 + length)) return 0;
    at += 16 + length;
    ++records;
  }
  return at == text.size() ? records : 0;
}

/// Every file of a run by its name, with what must be equal of it. Event files and checkpoints that were set aside are
/// left out.
std::map<std::string, std::string> contents(const fs::path& run) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(run)) {
    const std::string name = fs::relative(entry.path(), run).string(), file = entry.path().filename().string();
    if (!entry.is_regular_file() || is_event_file(file) || name.find("checkpoints/broken-") == 0) continue;
    std::string& text = out[name] = bytes(entry.path());
    if (file == "report.json") {
      auto report = rt::read_json(entry.path());
      report.erase("seconds");
      report["network"].erase("tflop_per_second");
      report.erase("peak_tensor_bytes");
      text = report.dump();
    } else if (file == "config.json") {
      auto config = rt::read_json(entry.path());
      config["run"].erase("resumed");
      text = config.dump();
    } else if (file == "state.json") {
      const auto state = rt::read_json(entry.path()).at("state");
      nlohmann::json kept = state.at("tuner");
      for (const char* key : {"rewards", "evaluations", "forwards", "backwards", "skipped_updates"})
        kept[key] = state.at("progress").at(key);
      text = kept.dump();
    } else if (file == "timings.jsonl") {
      std::istringstream lines(text);
      std::string updates;
      for (std::string line; std::getline(lines, line);)
        updates += nlohmann::json::parse(line).at("update").dump() + " ";
      text = updates;
    }
  }
  return out;
}

/// Names of the files that differ or that one of them lacks.
std::string differences(const std::map<std::string, std::string>& wanted, const fs::path& run) {
  std::string names;
  const auto got = contents(run);
  for (const auto& [name, text] : wanted)
    if (const auto found = got.find(name); found == got.end()) names += " lacks " + name;
    else if (found->second != text) names += " differs in " + name;
  // where a disk does not give an older checkpoint back it stays, and what it does not remove goes at the next save
  for (const auto& [name, text] : got)
    if (wanted.count(name) == 0 && !name.starts_with("checkpoints/update-") && !name.starts_with("checkpoints/."))
      names += " has " + name;
  return names;
}

/// Whether the message names the file, or for one with a passing name or in a folder with one that folder, and the
/// reason.
bool names_file_and_reason(const std::string& message, const fs::path& path, int error) {
  const bool passing = path.string().find("/.") != std::string::npos;
  return message.find(passing ? path.parent_path().string() : path.filename().string()) != std::string::npos &&
         message.find(std::generic_category().message(error)) != std::string::npos;
}

struct Tally {
  long runs = 0, errors = 0, finished = 0, resumed = 0;
};

}  // namespace

TEST_CASE("an error at any call on any file is a named error or does no harm, and the run resumes to the same bytes") {
  using Clock = std::chrono::steady_clock;
  const rt::reference::TemporaryFolder folder;
  const fs::path root = fs::canonical(folder.path()), run = root / "run", half = root.string() + "-half";
  rt::reference::write_tiny_model(root / "model", REWARD_TUNER_TEST_DATA "/tokenizer");
  std::ofstream(root / "prompts.txt") << "a red circle\na blue square\na green ring\n";
  std::ofstream(root / "held_out.txt") << "a red ring\na blue circle\n";
  shared =
      static_cast<Shared*>(::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(static_cast<void*>(shared) != MAP_FAILED);
  const char* asked = std::getenv("REWARD_TUNER_EVERY_CALL");
  const bool all = asked != nullptr && std::string_view(asked) == "all";
  const auto seed = static_cast<std::size_t>(asked == nullptr ? 0 : std::strtoul(asked, nullptr, 10));

  REQUIRE(live(root, false) == End::kFinished);
  const auto whole = contents(run);
  const auto whole_calls = shared->calls;
  const std::size_t whole_records = event_records(run);
  REQUIRE(whole.count("lora/pytorch_lora_weights.safetensors") == 1);
  REQUIRE(whole.count("before_after.png") == 1);
  REQUIRE(whole_records > 0);
  fs::remove_all(run);

  // dies between two checkpoints, within a line
  REQUIRE(live(root, false, nullptr, -1, [&](const rt::UpdateReport& report) {
            if (report.update == 2) ::_exit(0);
          }) == End::kFinished);
  std::ofstream(run / "metrics.jsonl", std::ios::app) << "{\"update\":3,\"rew";
  fs::rename(run, half);
  fs::copy(half, run, fs::copy_options::recursive);
  REQUIRE(live(root, true) == End::kFinished);
  const auto half_calls = shared->calls;
  const std::size_t half_records = event_records(run);
  REQUIRE(differences(whole, run) == "");

  std::map<std::string, Tally> tallies;
  const auto begin = Clock::now();
  for (const bool resume : {false, true})
    for (const Manner& manner : kManners) {
      const long calls = (resume ? half_calls : whole_calls)[static_cast<std::size_t>(manner.call)];
      const auto stride = all ? std::size_t{1} : manner.stride * (resume ? 3 : 1);
      for (long n = static_cast<long>(seed % stride); n < calls; n += static_cast<long>(stride)) {
        fs::remove_all(run);
        if (resume) fs::copy(half, run, fs::copy_options::recursive);
        const End end = live(root, resume, &manner, n);
        const std::string message = shared->message.data(), path = shared->path.data();
        std::string what = std::string(resume ? "a resume" : "a run") + ", call " + std::to_string(n) + " of " +
                           std::to_string(calls) + ", " + kNames[static_cast<std::size_t>(manner.call)] + " " +
                           manner.name + " of '" + path + "': " + message;
        CAPTURE(what);
        Tally& tally = tallies[std::string(kNames[static_cast<std::size_t>(manner.call)]) + " " + manner.name];
        ++tally.runs;
        CHECK(end != End::kCrash);
        CHECK(end != End::kHang);
        CHECK(end != End::kOtherError);
        if (manner.survived || !shared->struck) CHECK(end == End::kFinished);
        if (end == End::kFinished) {
          ++tally.finished;
          CHECK(differences(whole, run) == "");
          CHECK(event_records(run) >= (resume ? half_records : whole_records));
          continue;
        }
        ++tally.errors;
        CHECK(names_file_and_reason(message, path, manner.error));
        const bool resumable = rt::CheckpointFolder(run / "checkpoints").latest().has_value();
        CHECK((resumable || !resume));
        if (!resumable) continue;
        ++tally.resumed;
        CHECK(live(root, true) == End::kFinished);
        const std::string next = shared->message.data();
        CAPTURE(next);
        CHECK(differences(whole, run) == "");
      }
    }
  std::ostringstream text;
  Tally sum;
  for (const auto& [name, t] : tallies) {
    text << "\n  " << name << ": " << t.runs << " runs, " << t.errors << " errors, " << t.finished << " finished, "
         << t.resumed << " resumed";
    sum.runs += t.runs;
  }
  text << "\n  calls of a run and of a resume:";
  for (std::size_t k = 0; k < kKinds; ++k)
    text << ' ' << kNames[k] << ' ' << whole_calls[k] << '+' << half_calls[k] << (k + 1 < kKinds ? "," : "");
  MESSAGE(sum.runs, " runs in ", std::chrono::duration<double>(Clock::now() - begin).count(), " s", text.str());
  fs::remove_all(half);
}

}  // namespace every_call_test
