// rt-tune tune --method reward-weighted and raft: the denoising loss on rewarded images.
#include <reward_tuner/methods/reward_weighted.hpp>
#include <reward_tuner/regularizers/pretraining_loss.hpp>

#include "sampled_method.hpp"

namespace rt_tune {

TuneResult tune_reward_weighted(TuneSession& s) {
  using Tuner = rt::RewardWeightedTraining<rt::AnyReward, rt::AnySampler, ChosenExploration, rt::PretrainingLoss>;
  const TuneSettings& settings = s.settings;
  typename Tuner::Options options;
  options.sampler = sampler_options(settings.sampling);
  options.exploration = exploration_options(settings);
  options.objective = {.weighting = settings.weighting == "best"          ? rt::RewardWeighting::kBest
                                    : settings.weighting == "exponential" ? rt::RewardWeighting::kExponential
                                                                          : rt::RewardWeighting::kMinMax,
                       .temperature = settings.temperature,
                       .best = settings.best,
                       .frozen = s.method.name == "reward-weighted",
                       .noisings = settings.noisings,
                       .round = round_options(settings)};
  options.regularizer = regularizer_options(settings).pretraining;
  options.engine = engine_options(settings);
  return train(Tuner(s.reward.reward, std::move(options)), s);
}

}  // namespace rt_tune
