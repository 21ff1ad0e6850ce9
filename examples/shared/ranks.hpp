// The processes of one run, where torchrun started several.
#pragma once

#include <reward_tuner/ranks/ranks.hpp>

#include "tune_settings.hpp"

namespace rt_shared {

namespace rt = reward_tuner;

/// The ranks that torchrun says there are; one that is alone without it. Takes up what depends on them: only the first
/// one prints; processes that torchrun started again after a failure go on from the last checkpoint, if there is one;
/// and without --micro-batch each rank gets an equal share of the images.
/// Errors: an environment that makes no sense, ranks that do not meet, several in a program built without Gloo.
rt::Ranks started_ranks(TuneSettings& settings);

}  // namespace rt_shared
