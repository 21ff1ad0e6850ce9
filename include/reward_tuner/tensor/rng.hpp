// Randomness by argument: one generator object, which others are derived from, saved and restored bit for bit.
#pragma once
#include <ATen/CPUGeneratorImpl.h>

#include <cstdint>
#include <utility>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// A stream of random numbers. All draws are made on the CPU and moved afterwards, so a seed means the same numbers on
/// every device. A stream has one owner: it moves, and is copied by name only (`clone`), so that no draw is made twice
/// and no two places share a stream unseen. `derive` makes an independent one.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) : generator_(at::make_generator<at::CPUGeneratorImpl>(mix(seed))) {}
  Rng(Rng&&) = default;
  Rng& operator=(Rng&&) = default;

  /// A stream of its own that draws what this one would draw next.
  Rng clone() const;

  /// Standard normal numbers of the given shape, dtype and device (from `like`).
  Tensor normal(at::IntArrayRef shape, const at::TensorOptions& like = at::kFloat);

  /// Uniform numbers in [0, 1).
  Tensor uniform(at::IntArrayRef shape, const at::TensorOptions& like = at::kFloat);

  /// One uniform number in [0, 1).
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }

  /// One integer in [low, high], both ends included.
  std::int64_t integer(std::int64_t low, std::int64_t high);

  /// 64 random bits.
  std::uint64_t bits();

  /// A random permutation of 0..n-1, int64 [n].
  Tensor permutation(std::int64_t n) { return at::randperm(n, generator_, at::kLong); }

  /// An independent stream derived from `seed` and a number; consumes nothing. The same arguments give the same stream.
  static Rng derive(std::uint64_t seed, std::uint64_t number);

  /// The generator's whole state, uint8 [5056] on CPU; `set_state` continues bit for bit.
  Tensor state() const;
  void set_state(const Tensor& state);

 private:
  explicit Rng(at::Generator generator) : generator_(std::move(generator)) {}
  static std::uint64_t mix(std::uint64_t x);
  mutable at::Generator generator_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/tensor/rng.ipp>
#endif
