// The processes of one run, where torchrun started several.
#pragma once
#include <vector>

#include <reward_tuner/ranks/ranks.hpp>

#include "tune_settings.hpp"

namespace rt_shared {

namespace rt = reward_tuner;

/// The ranks that torchrun says there are; one that is alone without it. Takes up what depends on them: only the first
/// one prints, and processes that torchrun started again after a failure go on from the last checkpoint, if there is
/// one.
/// Errors: an environment that makes no sense, ranks that do not meet, several in a program built without Gloo.
rt::Ranks started_ranks(TuneSettings& settings);

/// The largest micro-batch that gives each rank one, if there are that many images, all branches counted. `tasks`: the
/// complete settings (defaults.hpp) of each task, or of a run that has none; several have one micro-batch, the smallest
/// of theirs.
int equal_share(const std::vector<TuneSettings>& tasks, int ranks);

}  // namespace rt_shared
