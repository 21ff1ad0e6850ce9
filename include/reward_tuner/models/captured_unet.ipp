// Definitions of captured_unet.hpp.
#pragma once
#include <reward_tuner/models/captured_unet.hpp>

#include <ATen/Context.h>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/layers/attention_choice.hpp>
#include <reward_tuner/layers/fused_ops.hpp>
#include <reward_tuner/tensor/autocast.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE Tensor CapturedUNet::operator()(const UNet2DConditionModel& unet, const std::vector<Tensor>& inputs,
                                                    const CapturedCalls::Call& call) {
  const auto found = reads_.try_emplace(&unet, unet).first;
  CallState state = found->second.state();
  const auto autocast = autocast_dtype(inputs.at(0).device().type());
  state.settings.insert(state.settings.end(), {autocast ? static_cast<std::int64_t>(*autocast) : -1,
                                               at::globalContext().deterministicAlgorithms() ? 1 : 0,
                                               OperatorsAlone::now() ? 1 : 0, AttentionScope::now() ? 1 : 0});
  return calls_(inputs, state, call);
}

REWARD_TUNER_INLINE CapturedUNet::Reads::Reads(const UNet2DConditionModel& unet) {
  for (const auto& module : unet.modules()) {
    if (const auto layer = std::dynamic_pointer_cast<const AdaptableLayer>(module)) {
      layers_.push_back(layer);
      continue;
    }
    for (const Tensor& weight : module->parameters(/*recurse=*/false)) others_.push_back(weight);
    for (const Tensor& buffer : module->buffers(/*recurse=*/false)) others_.push_back(buffer);
  }
}

REWARD_TUNER_INLINE CallState CapturedUNet::Reads::state() const {
  CallState state{.reads = others_};
  state.reads.reserve(others_.size() + 4 * layers_.size());
  for (const auto& layer : layers_) layer->tell(state);
  return state;
}

}  // namespace reward_tuner
