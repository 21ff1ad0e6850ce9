// Ranks that reach each other by LibTorch's c10d over Gloo: CPUs, on one machine or several. Includes nothing of c10d
// unless its definitions are compiled here.
#pragma once

#include <reward_tuner/ranks/launch.hpp>
#include <reward_tuner/ranks/ranks.hpp>

namespace reward_tuner {

struct GlooOptions {
  /// a rank that the others wait for so long has hung: they end with an error; a dead one is noticed at once. More than
  /// the longest part of a run that one rank does alone (saving a checkpoint) or does more of. Seconds, > 0
  double time_limit = 600;
};

/// Meets the other processes of a launch. They listen on the interface of GLOO_SOCKET_IFNAME where that is set, on the
/// loopback where the meeting point is, else on that of this machine's name.
/// Errors: an option out of range, ranks that do not come within the time limit.
/// Example: `const auto launch = Launch::from_environment(); Ranks ranks = launch ? gloo_ranks(*launch) : Ranks();`
Ranks gloo_ranks(const Launch& launch, const GlooOptions& options = {});

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/ranks/gloo.ipp>
#endif
