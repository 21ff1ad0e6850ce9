// One value per sampler step, indexed by the step.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

namespace reward_tuner {

/// The values of steps 0 .. T-1, written and read as the formulas do: `latent(k)`, `guidance(k)`.
/// Errors: a step outside 0 .. T-1 (std::out_of_range).
template <class T>
class PerStep {
 public:
  PerStep() = default;
  explicit PerStep(int steps, const T& value = T()) : values_(static_cast<std::size_t>(steps), value) {}
  PerStep(std::vector<T> values) : values_(std::move(values)) {}

  T& operator()(int k) { return values_.at(static_cast<std::size_t>(k)); }
  const T& operator()(int k) const { return values_.at(static_cast<std::size_t>(k)); }
  int steps() const { return static_cast<int>(values_.size()); }
  bool operator==(const PerStep&) const = default;

  auto begin() { return values_.begin(); }
  auto end() { return values_.end(); }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }

 private:
  std::vector<T> values_;
};

}  // namespace reward_tuner
