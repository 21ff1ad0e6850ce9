// rt-tune: tunes diffusion models on rewards from the command line.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>
#include <malloc.h>

#include <algorithm>
#include <climits>
#include <exception>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/version.hpp>

#include "commands.hpp"
#include "config_file.hpp"

namespace rt_tune {

namespace {

std::map<int, AddCommand>& commands() {
  static std::map<int, AddCommand> registered;  // filled before main, in any order
  return registered;
}

}  // namespace

RegisteredCommand::RegisteredCommand(int rank, AddCommand add) { commands().emplace(rank, add); }

void apply_threads(int threads) {
  REWARD_TUNER_CHECK(threads >= 0, "[rt-tune] --threads expected a number >= 0, got ", threads);
  if (threads > 0) at::set_num_threads(threads);
}

namespace {

std::string quoted(int argc, char** argv) {
  std::string line;
  for (int i = 0; i < argc; ++i) {
    std::string word = argv[i];
    if (word.empty() || word.find_first_of(" \t'\"\\$*?;&|<>()") != std::string::npos) {
      std::string safe;
      for (const char c : word) safe += c == '\'' ? std::string("'\\''") : std::string(1, c);
      word = "'" + safe + "'";
    }
    line += (i == 0 ? "" : " ") + word;
  }
  return line;
}

int run(int argc, char** argv) {
  CLI::App app(
      "Tunes Stable Diffusion models on rewards: raise a reward, look at the images before and after, save a LoRA.",
      "rt-tune");
  app.set_version_flag("--version", std::string(reward_tuner::kVersion));
  app.require_subcommand(1);
  app.get_formatter()->column_width(36);
  app.footer(
      "Exit codes: 0 done; 1 an error, told in one sentence; 2 wrong usage; 130 interrupted, with a checkpoint to "
      "resume from.\n"
      "`rt-tune COMMAND --help` tells everything about a command.");
  Command chosen;
  for (const auto& [rank, add] : commands()) add(app, chosen, quoted(argc, argv));
  try {
    std::vector<std::string> arguments = with_config_files({argv + 1, argv + argc});
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them last first
    app.parse(arguments);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& problem) {
    app.exit(problem);
    return kUsage;
  }
  return chosen();
}

}  // namespace
}  // namespace rt_tune

int main(int argc, char** argv) {
  // Tensors come and go all the time: memory given back to the system at every free would be cleared anew at every
  // allocation.
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);
  ::mallopt(M_TRIM_THRESHOLD, INT_MAX);
  at::globalContext().setFlushDenormal(true);
  try {
    return rt_tune::run(argc, argv);
  } catch (const c10::Error& problem) {
    std::cerr << "error: " << problem.what_without_backtrace() << '\n';
  } catch (const std::exception& problem) {
    std::cerr << "error: " << problem.what() << '\n';
  }
  return rt_tune::kFailed;
}
