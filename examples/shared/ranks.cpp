#include "ranks.hpp"

#include <algorithm>
#include <iostream>
#include <limits>

#include <reward_tuner/files/checkpoint.hpp>
#include <reward_tuner/ranks/launch.hpp>
#if __has_include(<gloo/transport/device.h>)
#include <reward_tuner/ranks/gloo.hpp>
#endif

namespace rt_shared {

namespace {

rt::Ranks met([[maybe_unused]] const rt::Launch& launch, [[maybe_unused]] double time_limit) {
#if __has_include(<gloo/transport/device.h>)
  return rt::gloo_ranks(launch, {.time_limit = time_limit});
#else
  rt::detail::fail("[rt-tune] torchrun started ", launch.size,
                   " processes: expected a program built with Gloo's headers (Debian: libgloo-dev), got one without");
#endif
}

}  // namespace

rt::Ranks started_ranks(TuneSettings& s) {
  const auto launch = rt::Launch::from_environment();
  if (!launch || launch->size == 1) return {};
  rt::Ranks ranks = met(*launch, s.rank_seconds);
  s.quiet = s.quiet || !ranks.first();
  const bool checkpoint =
      launch->restarts > 0 && ranks.first() && rt::CheckpointFolder(s.out / "checkpoints").latest().has_value();
  if (!s.resume && ranks.any(checkpoint)) {
    s.resume = true;
    if (!s.quiet) std::cerr << "note: started again after a failure: going on from the last checkpoint\n";
  }
  return ranks;
}

int equal_share(const std::vector<TuneSettings>& tasks, int ranks) {
  int smallest = std::numeric_limits<int>::max();
  for (const TuneSettings& s : tasks) {
    const int images = s.batch * std::max(1, s.samples_per_prompt) * s.branches.value_or(1);
    const int share = std::max(1, (images + ranks - 1) / ranks);
    const bool one_for_each = (images + share - 1) / share >= ranks;  // 2, 2 and 1 of 5 images leave the fourth idle
    smallest = std::min(smallest, one_for_each ? share : std::max(1, images / ranks));
  }
  return smallest;
}

}  // namespace rt_shared
