// Networks that lie in the CPU's memory while they are not in use: text encoders, VAE, networks of rewards.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// What a part is used for.
enum class PartUse {
  kText,    ///< encoding prompts
  kImages,  ///< decoding and scoring images, and their backward
};

/// Parts of a pipeline that rest. A use wakes its parts: their weights are copied to the device; the next use of the
/// denoising network lays all of them to rest again: the copies are dropped, and what was written to them is kept. The
/// numbers are those of a pipeline whose parts stay.
/// A graph through a part must be differentiated before it rests, as the engine does: autograd finds weights on another
/// device else. A part with anything that trains stays awake once it is.
class IdleParts {
 public:
  /// How weights come to the device.
  using Move = std::function<Tensor(const Tensor& resting)>;
  explicit IdleParts(at::Device device) : IdleParts([device](const Tensor& resting) { return resting.to(device); }) {}
  explicit IdleParts(Move move) : move_(std::move(move)) {}
  IdleParts(const IdleParts&) = delete;
  IdleParts& operator=(const IdleParts&) = delete;

  /// Adds a network, whose weights lie where they will rest; one that was added before is left as it is.
  void add(PartUse use, std::shared_ptr<const torch::nn::Module> network);
  /// Brings the parts of a use to the device. Without the memory for it all of them rest as before, and it throws.
  void wake(PartUse use);
  /// Lays all parts to rest.
  void rest();

  /// How many networks were brought to the device so far.
  std::int64_t moves() const { return moves_; }

 private:
  /// A weight on the device.
  struct Awake {
    Tensor weight, resting;  // the network's own tensor; its values where they rest
    std::uint32_t version;   // of the weight when it came
  };
  struct Part {
    PartUse use;
    std::shared_ptr<const torch::nn::Module> network;
    std::vector<Awake> awake;
  };
  void wake(Part& part);
  static void rest(Part& part);

  Move move_;
  std::vector<Part> parts_;
  std::int64_t moves_ = 0;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/idle_parts.ipp>
#endif
