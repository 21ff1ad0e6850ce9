// An optimizer whose state is divided among the ranks.
#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/optim/optimizer_concept.hpp>
#include <reward_tuner/optim/part_state.hpp>
#include <reward_tuner/ranks/ranks.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// Which rank steps which of the parameters: the largest ones first, each to the rank that has the fewest numbers.
/// Whole tensors, so that any optimizer that looks at one tensor at a time makes the bits of one process.
/// Errors: fewer parameters than ranks.
std::vector<int> owners(const Ranks& ranks, const std::vector<Tensor>& parameters);

/// Every rank gets the values of the parameters that each of them owns, in messages of whole tensors, of at least a MiB
/// but for a rank's last.
void share_owned(const Ranks& ranks, const std::vector<Tensor>& parameters, const std::vector<int>& owner);

/// The tensors of all ranks, on the first of them; the others keep their own.
std::map<std::string, Tensor> gathered_on_first(const Ranks& ranks, std::map<std::string, Tensor> own);

/// An optimizer that can be divided: it is made of tensors and options, which it tells.
template <class O>
concept ShardableOptimizer =
    ResumableOptimizer<O> && requires(const O o, std::vector<Tensor> tensors) { O(tensors, o.options()); };

/// Each rank holds the state of its own part of the parameters, steps these and sends them to the others (ZeRO's first
/// stage, Rajbhandari et al. 2020, arXiv 1910.02054). Weights and gradients are whole on every rank. The bits are those
/// of `Optim` over all parameters; so is the state, which either of them loads, on any number of ranks. Of one rank it
/// is `Optim` itself.
/// Optim: an optimizer that treats each tensor by itself and names its state "<index in its list>.<anything>", as AdamW
/// and AdamW8bit do. Errors: `Optim`'s; fewer parameters than ranks.
/// Example: ShardedOptimizer<AdamW> optimizer(ranks, weights.tensors(), {.learning_rate = 1e-5});
template <ShardableOptimizer Optim>
class ShardedOptimizer {
  using Options = std::remove_cvref_t<decltype(std::declval<const Optim&>().options())>;

 public:
  /// Every rank has the same parameters in the same order, with equal values.
  ShardedOptimizer(Ranks ranks, std::vector<Tensor> parameters, Options options = {})
      : ranks_(std::move(ranks)),
        parameters_(std::move(parameters)),
        owner_(owners(ranks_, parameters_)),
        own_index_(own_index()),
        own_(own_parameters(), std::move(options)) {}

  /// One update from the accumulated gradients, which are the same on every rank. All ranks call it.
  void step() {
    own_.step();
    share_owned(ranks_, parameters_, owner_);
  }

  /// Drops the gradients, of all parameters.
  void zero_grad() {
    for (Tensor& p : parameters_) p.mutable_grad().reset();
  }

  void scale_learning_rate(double factor) requires ScheduledOptimizer<Optim> { own_.scale_learning_rate(factor); }
  double learning_rate() const requires ScheduledOptimizer<Optim> { return own_.learning_rate(); }
  const Options& options() const { return own_.options(); }
  const std::vector<Tensor>& parameters() const { return parameters_; }
  /// `Optim`'s, of this rank's part.
  std::vector<std::string> memory_switches() const { return reward_tuner::memory_switches(own_); }

  /// All ranks call it. The whole state on the first rank, of the others copied to the CPU; their own part on these.
  std::map<std::string, Tensor> state() const {
    return gathered_on_first(ranks_, state_of_whole(own_.state(), own_index_));
  }
  /// Continues from a whole state, which all ranks give; anything else is an error. Nothing is sent: an error of one
  /// rank changes nothing on it.
  void load_state(const std::map<std::string, Tensor>& state) {
    own_.load_state(state_of_part(state, own_index_, parameters_.size()));
  }

 private:
  std::vector<std::size_t> own_index() const {
    std::vector<std::size_t> own;
    for (std::size_t i = 0; i < owner_.size(); ++i)
      if (owner_[i] == ranks_.rank()) own.push_back(i);
    return own;
  }
  std::vector<Tensor> own_parameters() const {
    std::vector<Tensor> own;
    for (const std::size_t i : own_index_) own.push_back(parameters_[i]);
    return own;
  }

  Ranks ranks_;
  std::vector<Tensor> parameters_;
  std::vector<int> owner_;              // of each parameter
  std::vector<std::size_t> own_index_;  // of this rank's among them, ascending
  Optim own_;                           // of this rank's
};
static_assert(ResumableOptimizer<ShardedOptimizer<AdamW>> && ScheduledOptimizer<ShardedOptimizer<AdamW>>);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/ranks/sharded_optimizer.ipp>
#endif
