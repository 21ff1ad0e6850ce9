// The clip range of a ratio of probabilities: as a number, or in nats of the true ratio.
#pragma once
#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/objective_context.hpp>
#include <reward_tuner/core/round_options.hpp>

namespace reward_tuner {

/// What ddpo-pytorch's range 1e-4 of a mean over D = 4*64*64 numbers is of the true ratio.
inline constexpr double kClipNats = 1.64;

/// epsilon > 0 of the *reduced* ratio that allows `nats` of the true one: nats / D of a mean over D numbers, 1 -
/// exp(-nats) of the sum, where the range is as wide downward.
inline double clip_range(double nats, LogProbReduction reduction, std::int64_t latent_size) {
  return reduction == LogProbReduction::kMean ? nats / static_cast<double>(latent_size) : 1 - std::exp(-nats);
}

/// Throws a named error unless at most one of `clip` and `clip_nats` is set, to a number above 0; `objective` is the
/// name in front.
inline void check_clip(std::string_view objective, std::optional<double> clip, std::optional<double> clip_nats) {
  REWARD_TUNER_CHECK(!clip || (*clip > 0 && std::isfinite(*clip)), "[", objective, "] clip must be > 0, got ", *clip);
  REWARD_TUNER_CHECK(!clip_nats || (*clip_nats > 0 && std::isfinite(*clip_nats)), "[", objective,
                     "] clip_nats must be > 0, got ", *clip_nats);
  REWARD_TUNER_CHECK(!clip || !clip_nats, "[", objective, "] expected either clip or clip_nats, got both: ", *clip,
                     " and ", *clip_nats);
}

/// The options with `clip` set and `clip_nats` spent on it.
template <class Options>
Options with_clip(Options options, const ObjectiveContext& context) {
  if (!options.clip)
    options.clip = clip_range(options.clip_nats.value_or(kClipNats), options.round.reduction, context.latent_size);
  options.clip_nats.reset();
  return options;
}

/// `clip`, or a named error where it is in nats still: the range depends on the latents.
inline double known_clip(std::string_view objective, std::optional<double> clip) {
  REWARD_TUNER_CHECK(clip, "[", objective,
                     "] the clip range in nats depends on the latents: expected options completed for a model, as a "
                     "tuner does, or clip, got neither");
  return *clip;
}

}  // namespace reward_tuner
