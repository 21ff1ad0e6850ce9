// raft and reward-weighted: the denoising loss on rewarded images.
#include <reward_tuner/methods/reward_weighted.hpp>
#include <reward_tuner/regularizers/pretraining_loss.hpp>

#include "sampled_method.hpp"
#include "sampler_options.hpp"

namespace rt_shared {
namespace {

const RegisteredUnit denoising_unit(MethodUnit::kDenoising, [](TuneSession& session) {
  using Tuner = rt::RewardWeightedTraining<rt::AnyReward, rt::AnySampler, ChosenExploration, rt::PretrainingLoss>;
  const TuneSettings& s = session.settings;
  typename Tuner::Options options;
  options.sampler = sampler_options(s);
  options.exploration = exploration_options(s);
  options.objective = {.weighting = s.weighting,
                       .temperature = s.temperature,
                       .best = s.best,
                       .frozen = session.method.name == "reward-weighted",
                       .noisings = s.noisings,
                       .round = round_options(s)};
  options.regularizer = pretraining_options(session, s);
  options.engine = engine_options(s);
  return train(Tuner(session.reward.reward, std::move(options)), session);
});

}  // namespace
}  // namespace rt_shared
