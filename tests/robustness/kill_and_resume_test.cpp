// SIGKILL at fifty random moments of a training process, every other one aimed at a checkpoint save: resumed, each run
// ends with the same bytes as one that nobody disturbed.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include <reward_tuner/files/checkpoint.hpp>

#include <tests/reference/file_bytes.hpp>
#include <tests/reference/tiny_folder.hpp>

namespace kill_and_resume_test {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr int kKills = 50;
constexpr std::uint64_t kSeed = 20240611;
constexpr const char* kUpdates = "24";

/// The moment at which a life ends: `delay` seconds after the stage `stage` was told for the `count`-th time. No stage:
/// nobody kills it.
struct Moment {
  char stage = '\0';
  int count = 0;
  double delay = 0;
};

struct Life {
  bool killed = false;
  int exit_code = -1;
  char last_stage = 'w';  ///< the last thing it told
  double seconds = 0;     ///< from 'w' on
};

bool resumable(const std::filesystem::path& run) {
  return reward_tuner::CheckpointFolder(run / "checkpoints").latest().has_value();
}

/// Starts the program by fork and exec, listens to it, and kills it at the moment.
Life live(const std::filesystem::path& model, const std::filesystem::path& run, const Moment& moment) {
  const bool resume = resumable(run);
  if (!resume) std::filesystem::remove_all(run);  // killed before there was anything to resume
  const std::string model_text = model.string(), run_text = run.string();
  int pipe[2];
  REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
  const ::pid_t child = ::fork();
  if (child == 0) {
    ::dup2(pipe[1], STDOUT_FILENO);
    ::execl(SMALL_RUN_PROGRAM, SMALL_RUN_PROGRAM, model_text.c_str(), run_text.c_str(), kUpdates,
            resume ? "resume" : nullptr, nullptr);
    ::_exit(127);
  }
  REQUIRE(child > 0);
  ::close(pipe[1]);
  Life life;
  int told = 0;
  Clock::time_point begin = Clock::now(), deadline = Clock::time_point::max();
  for (;;) {
    double wait = std::chrono::duration_cast<Seconds>(deadline - Clock::now()).count();
    if (deadline != Clock::time_point::max() && wait <= 0) {
      ::kill(child, SIGKILL);
      break;
    }
    const bool long_wait = deadline == Clock::time_point::max() || wait > 1;
    if (long_wait) wait = 1;
    const ::timespec timeout{0, static_cast<long>(std::min(wait, 0.999) * 1e9)};
    ::pollfd listening{pipe[0], POLLIN, 0};
    if (::ppoll(&listening, 1, &timeout, nullptr) <= 0) continue;
    char stage = '\0';
    if (::read(pipe[0], &stage, 1) != 1) break;  // it has ended
    life.last_stage = stage;
    if (stage == 'w') begin = Clock::now();
    if (stage == moment.stage && ++told == moment.count)
      deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(Seconds(moment.delay));
  }
  life.seconds = std::chrono::duration_cast<Seconds>(Clock::now() - begin).count();
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  life.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  if (WIFEXITED(status)) life.exit_code = WEXITSTATUS(status);
  return life;
}

using reward_tuner::reference::bytes;

}  // namespace

TEST_CASE("killed at fifty random moments and resumed, runs end with the bytes of an undisturbed one") {
  const reward_tuner::reference::TemporaryFolder folder;
  const auto model = folder / "model";
  reward_tuner::reference::write_tiny_model(model, REWARD_TUNER_TEST_DATA "/tokenizer");
  const Life whole = live(model, folder / "whole", {});
  REQUIRE(whole.exit_code == 0);

  std::mt19937_64 random(kSeed);
  const auto uniform = [&](double most) { return std::uniform_real_distribution<double>(0, most)(random); };
  int kills = 0, in_saves = 0, before_first = 0, runs = 0;
  const auto begin = Clock::now();
  while (kills < kKills) {
    const auto run = folder / ("run" + std::to_string(runs++));
    for (int lives = 0;; ++lives) {
      REQUIRE(lives < 200);
      Moment moment;  // after fifty kills the last run may end in peace
      // within a save
      if (kills < kKills && kills % 2 == 1)
        moment = {"0123"[random() % 4], 1 + static_cast<int>(random() % 4), uniform(0.001)};
      else if (kills < kKills) moment = {'w', 1, uniform(0.3 * whole.seconds)};
      const Life life = live(model, run, moment);
      if (!life.killed) {
        REQUIRE(life.exit_code == 0);
        break;
      }
      ++kills;
      in_saves += life.last_stage >= '0' && life.last_stage < '4';
      before_first += !resumable(run);
    }
    for (const char* file :
         {"metrics.jsonl", "evaluations.jsonl", "before_after.png", "lora/pytorch_lora_weights.safetensors",
          "checkpoints/update-000024/tensors.safetensors", "checkpoints/update-000022/tensors.safetensors"})
      CHECK_MESSAGE(bytes(folder / "whole" / file) == bytes(run / file), run.string(), " ", file);
    const auto first =
        reward_tuner::read_json(folder / "whole" / "checkpoints" / "update-000024" / "state.json").at("state");
    const auto second = reward_tuner::read_json(run / "checkpoints" / "update-000024" / "state.json").at("state");
    CHECK(first.at("tuner") == second.at("tuner"));
    for (const char* key : {"rewards", "evaluations", "forwards", "backwards", "skipped_updates"})
      CHECK_MESSAGE(first.at("progress").at(key) == second.at("progress").at(key), key);
  }
  const double seconds = std::chrono::duration_cast<Seconds>(Clock::now() - begin).count();
  MESSAGE(kills, " kills over ", runs, " runs in ", seconds, " s: ", in_saves, " inside a save, ", before_first,
          " before the first checkpoint; an undisturbed run takes ", whole.seconds, " s");
  CHECK(kills == kKills);
  CHECK(in_saves >= kKills / 8);
  CHECK(before_first < kKills / 2);
}

}  // namespace kill_and_resume_test
