// Calls of a UNet without gradient by recordings.
#pragma once
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include <reward_tuner/layers/adaptable_layer.hpp>
#include <reward_tuner/layers/captured_calls.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>

namespace reward_tuner {

/// Calls of UNets by recordings, see CapturedCalls. What a call depends on: every weight, the adapters in their mode,
/// autocast, deterministic algorithms, and whether the operators alone are asked for (OperatorsAlone).
class CapturedUNet {
 public:
  explicit CapturedUNet(GraphRecorder recorder) : calls_("StableDiffusion", std::move(recorder)) {}

  /// call(inputs), which reads the weights of `unet` and no other tensor.
  Tensor operator()(const UNet2DConditionModel& unet, const std::vector<Tensor>& inputs,
                    const CapturedCalls::Call& call);

  const CaptureCounts& counts() const { return calls_.counts(); }

 private:
  /// What of a network a call reads, found once.
  class Reads {
   public:
    explicit Reads(const UNet2DConditionModel& unet);
    CallState state() const;

   private:
    std::vector<std::shared_ptr<const AdaptableLayer>> layers_;
    std::vector<Tensor> others_;
  };

  CapturedCalls calls_;
  std::map<const UNet2DConditionModel*, Reads> reads_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/captured_unet.ipp>
#endif
