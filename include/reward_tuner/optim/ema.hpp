// An exponential moving average of trained tensors, with a scope that evaluates the averaged values.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/tensor/scoped_values.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// How fast the average follows.
struct EmaOptions {
  double decay = 0.999;  ///< weight of the past, in [0, 1)
  /// use min(decay, (1 + t) / (10 + t)) at the t-th update, t = 1, 2, ...: the first values are forgotten soon
  bool warm_up = true;
};
REWARD_TUNER_FIELDS(EmaOptions, decay, warm_up);

/// average <- decay_t * average + (1 - decay_t) * value, for a list of tensors. Averages are kept in float32 (double
/// for doubles), since half precision would lose steps of 1 - decay.
class Ema {
 public:
  /// Starts at the current values. The tensors are shared, not copied: they are the ones that the optimizer updates.
  explicit Ema(std::vector<Tensor> tracked, EmaOptions options = {});

  /// Updates the averages with the current values. Call it once after each optimizer step.
  void update();

  /// The decay of the t-th update, t >= 1.
  double decay_at(std::int64_t t) const;

  /// While it lives the tracked tensors hold the averages; then the trained values return bit for bit.
  /// Open it between updates only: it writes in place, so a graph recorded before must not be differentiated inside or
  /// after.
  class [[nodiscard]] Scope {
   public:
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    friend class Ema;
    explicit Scope(Ema& ema);
    static Ema& not_swapped(Ema& ema);
    Ema& ema_;
    ScopedValues values_;
  };
  Scope swap_in() { return Scope(*this); }

  Ema(const Ema&) = delete;  // a scope points at its average
  Ema& operator=(const Ema&) = delete;

  /// The averages, in the order of the tracked tensors.
  const std::vector<Tensor>& averages() const { return averages_; }
  std::int64_t updates() const { return updates_; }
  const EmaOptions& options() const { return options_; }

  /// Averages under "<index>.average" and the count under "updates", for a checkpoint. The averages share memory with
  /// this object.
  std::map<std::string, Tensor> state() const;
  /// Continues from such a state; anything that does not fit is an error and changes nothing.
  void load_state(const std::map<std::string, Tensor>& state);

 private:
  static at::ScalarType average_type(const Tensor& value);
  std::vector<Tensor> tracked_, averages_;
  EmaOptions options_;
  std::int64_t updates_ = 0;
  bool swapped_ = false;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/optim/ema.ipp>
#endif
