// What torchrun says in its environment variables of each process that it starts.
#pragma once
#include <functional>
#include <optional>
#include <string>

namespace reward_tuner {

/// One process of `torchrun --nproc-per-node N --no-python PROGRAM`.
struct Launch {
  int rank = 0;         ///< RANK, which of all processes
  int size = 1;         ///< WORLD_SIZE, how many there are
  int local_rank = 0;   ///< LOCAL_RANK, which of those on this machine
  std::string address;  ///< MASTER_ADDR, where the processes meet
  int port = 0;         ///< MASTER_PORT
  int restarts = 0;     ///< TORCHELASTIC_RESTART_COUNT, how often torchrun has started them again; 0 if unset
  /// TORCHELASTIC_USE_AGENT_STORE, whether torchrun itself listens there; else the first rank does
  bool agent_listens = false;

  /// Looks a variable up; unset ones are nullptr.
  using Lookup = std::function<const char*(const char* name)>;
  /// Nothing where neither RANK nor WORLD_SIZE is set: such a process is alone.
  /// Errors: of the first five a variable that is missing; one that is no whole number, or is out of range.
  static std::optional<Launch> from_environment(const Lookup& lookup = {});
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/ranks/launch.ipp>
#endif
