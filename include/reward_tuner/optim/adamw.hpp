// AdamW over a list of tensors by LibTorch's fused kernel, with a state that saves and loads bit for bit.
#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/optim/optimizer_concept.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// Hyperparameters of AdamW.
struct AdamWOptions {
  double learning_rate = 2e-5;  ///< step size, > 0 (DRTune-paper 4.1: 2e-5 constant for Stable Diffusion 1.5)
  double beta1 = 0.9;           ///< decay of the first moment, in [0, 1)
  double beta2 = 0.999;         ///< decay of the second moment, in [0, 1)
  double epsilon = 1e-8;        ///< added to the root of the second moment
  double weight_decay = 0.0;    ///< decoupled decay per step, times the learning rate
};
REWARD_TUNER_FIELDS(AdamWOptions, learning_rate, beta1, beta2, epsilon, weight_decay);

/// Named errors of an optimizer `where`: an option out of range; a list without parameters, or with one that cannot be
/// trained.
void check_options(const AdamWOptions& o, const std::string& where);
void check_parameters(const std::vector<Tensor>& parameters, const std::string& where);
/// Copies a state into an optimizer's own tensors by name. Errors: a tensor that is missing, too many, or of another
/// shape or type; nothing is changed then.
void load_optimizer_state(const std::map<std::string, Tensor>& mine, const std::map<std::string, Tensor>& state,
                          const std::string& where);

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019, Algorithm 2).
/// A parameter whose gradient is undefined is left alone and its step is not counted, as PyTorch does.
class AdamW {
 public:
  explicit AdamW(std::vector<Tensor> parameters, AdamWOptions options = {});

  /// One update from the accumulated gradients. It takes its memory before it changes anything, if all parameters are
  /// contiguous: LibTorch's kernel copies others.
  void step();

  /// Drops the gradients.
  void zero_grad();

  /// From now on the learning rate is that of the options times `factor`, which is not a part of the state.
  void scale_learning_rate(double factor);
  double learning_rate() const { return learning_rate_; }
  const AdamWOptions& options() const { return options_; }
  const std::vector<Tensor>& parameters() const { return parameters_; }
  /// AdamW8bit, if it saves a MiB or more.
  std::vector<std::string> memory_switches() const;

  /// Moments and step counts under "<index>.first", "<index>.second", "<index>.step".
  std::map<std::string, Tensor> state() const;
  /// Continues from a state of an optimizer over the same list of shapes; anything else is an error and changes
  /// nothing.
  void load_state(const std::map<std::string, Tensor>& state);

 private:
  struct Group {
    std::vector<Tensor> parameters, gradients, first, second, steps;
  };
  struct ByKind {
    bool operator()(const std::pair<c10::Device, at::ScalarType>& a,
                    const std::pair<c10::Device, at::ScalarType>& b) const;
  };

  std::vector<Tensor> parameters_;
  AdamWOptions options_;
  double learning_rate_;  // in force
  std::vector<Tensor> first_, second_, steps_;
};
static_assert(ResumableOptimizer<AdamW> && ScheduledOptimizer<AdamW>);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/optim/adamw.ipp>
#endif
