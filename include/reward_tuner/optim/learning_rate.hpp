// How the learning rate changes along a run.
#pragma once
#include <cstdint>
#include <string>

#include <reward_tuner/core/option_fields.hpp>

namespace reward_tuner {

/// How it falls after the warm-up.
enum class LearningRateDecay {
  kConstant,  ///< not at all
  kLinear,    ///< on a straight line to the floor
  kCosine,    ///< on half a cosine to the floor (Loshchilov & Hutter 2017, Eq. 5, without restarts)
};

/// A factor on the learning rate of every update of a run, the same in all optimizer steps of an update.
struct LearningRateSchedule {
  LearningRateDecay decay = LearningRateDecay::kConstant;
  double floor = 0;          ///< share of the full rate at which a fall ends, in [0, 1]
  std::int64_t warm_up = 0;  ///< first updates, over which the rate rises on a straight line to the full one
};
REWARD_TUNER_FIELDS(LearningRateSchedule, decay, floor, warm_up);

/// Errors of `where`: a number out of range, a floor of a rate that does not fall.
void check_options(const LearningRateSchedule& o, const std::string& where);

/// The factor on the update that comes after `done` others, of a run of `planned` updates: (done + 1) / warm_up in the
/// warm-up; then with p = (done - warm_up) / (planned - warm_up), at most 1,
///   kLinear  floor + (1 - floor) * (1 - p)
///   kCosine  floor + (1 - floor) * (1 + cos(pi * p)) / 2
double learning_rate_factor(const LearningRateSchedule& schedule, std::int64_t done, std::int64_t planned);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/optim/learning_rate.ipp>
#endif
