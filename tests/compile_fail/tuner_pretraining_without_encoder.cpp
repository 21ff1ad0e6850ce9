// expect: [PretrainingLoss] needs a pipeline with Tensor encode_images(const Tensor& images)
#include <reward_tuner/regularizers/pretraining_loss.hpp>

#include <tests/reference/captioned_toy.hpp>

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Pipeline = reference::CaptionedToy;
#else
using Pipeline = reference::ToyPipeline;
#endif

Tensor loss(const PretrainingLoss& regularizer, Pipeline& pipeline, Rng& rng) {
  return regularizer.own_loss(pipeline, rng);
}
