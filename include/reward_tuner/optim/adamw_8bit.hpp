// AdamW whose moments take 8 bits each, for tuning whole networks.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/optim/optimizer_concept.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// Hyperparameters of AdamW8bit: AdamW's, and what is rounded how.
struct AdamW8bitOptions {
  double learning_rate = 2e-5;  ///< as AdamW's
  double beta1 = 0.9;           ///< as AdamW's
  double beta2 = 0.999;         ///< as AdamW's
  double epsilon = 1e-8;        ///< as AdamW's
  double weight_decay = 0.0;    ///< as AdamW's
  /// numbers with one scale, > 0: a smaller block has smaller errors and 4 / block more bytes a moment
  std::int64_t block = 256;
  /// a tensor of fewer numbers than this keeps moments of its own type and is trained as by AdamW: biases and
  /// normalizations, >= 0
  std::int64_t smallest = 4096;
};
REWARD_TUNER_FIELDS(AdamW8bitOptions, learning_rate, beta1, beta2, epsilon, weight_decay, block, smallest);

/// AdamW with block-wise dynamic quantization of its moments (Dettmers et al. 2021, arXiv 2110.02861): they are
/// decoded, updated in float32 (double for double), used for the step and rounded to 8 bits again. Of the second moment
/// its root is stored: a code reaches down to 1e-7 of its block, which of the moment itself would be gradients of 3e-4
/// of the largest; a smaller one would lose its second moment and keep its first, and take steps of any size.
/// Cost: 2 (1 + 4 / block) bytes a parameter instead of AdamW's 8, and room for 2^18 numbers a step.
/// Error: on a noisy quadratic, after 500 steps, the distance to AdamW's weights is 1 to 2 percent of the way that they
/// went where gradients within a block are of one size, 3 to 5 percent where they differ by factors of 2, and 14 to 15
/// where they differ by factors of 10 (tests/optim/adamw_8bit_test.cpp); on the tests' tiny model 2 percent after 8
/// steps.
/// Errors: as AdamW's; a block below 1.
class AdamW8bit {
 public:
  explicit AdamW8bit(std::vector<Tensor> parameters, AdamW8bitOptions options = {});

  /// One update from the accumulated gradients. It takes its memory before it changes anything.
  void step();

  /// Drops the gradients.
  void zero_grad();

  /// From now on the learning rate is that of the options times `factor`, which is not a part of the state.
  void scale_learning_rate(double factor);
  double learning_rate() const { return learning_rate_; }
  const AdamW8bitOptions& options() const { return options_; }
  const std::vector<Tensor>& parameters() const { return parameters_; }
  /// AdamW's, of the tensors that are trained as by AdamW.
  std::vector<std::string> memory_switches() const {
    return exact_ ? exact_->memory_switches() : std::vector<std::string>();
  }

  /// Codes, scales and step counts under "<index>.first", ".first_scale", ".second", ".second_scale", ".step"; of a
  /// small tensor as AdamW's.
  std::map<std::string, Tensor> state() const;
  /// Continues from a state of an optimizer over the same list of shapes with the same options; anything else is an
  /// error and changes nothing.
  void load_state(const std::map<std::string, Tensor>& state);

 private:
  /// The moments of a large tensor.
  struct Rounded {
    std::size_t index;                                // of the parameter
    Tensor first, first_scale, second, second_scale;  // uint8 [numbers], [blocks]
    Tensor step;                                      // 0-d float, on the CPU
  };
  struct Workspace;
  struct Job;
  void step(const Job& job, const Workspace& room) const;

  std::vector<Tensor> parameters_;
  AdamW8bitOptions options_;
  double learning_rate_;  // in force
  std::vector<Rounded> rounded_;
  std::optional<AdamW> exact_;            // of the small tensors
  std::vector<std::size_t> exact_index_;  // where they stand in the list
};
static_assert(ResumableOptimizer<AdamW8bit> && ScheduledOptimizer<AdamW8bit>);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/optim/adamw_8bit.ipp>
#endif
