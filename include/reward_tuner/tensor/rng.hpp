// Randomness by argument: one generator object, forked by name, saved and restored bit for bit.
#pragma once
#include <ATen/CPUGeneratorImpl.h>

#include <cstdint>
#include <mutex>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// A stream of random numbers. All draws are made on the CPU and moved afterwards, so a seed means the same numbers on
/// every device. Copying shares the stream; `fork` starts an independent one.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) : generator_(at::make_generator<at::CPUGeneratorImpl>(mix(seed))) {}

  /// Standard normal numbers of the given shape, dtype and device (from `like`).
  Tensor normal(at::IntArrayRef shape, const at::TensorOptions& like = at::kFloat) {
    const auto dtype = like.dtype() == at::kDouble ? at::kDouble : at::kFloat;
    return at::randn(shape, generator_, at::TensorOptions().dtype(dtype))
        .to(like.device(), like.dtype().toScalarType());
  }

  /// Uniform numbers in [0, 1).
  Tensor uniform(at::IntArrayRef shape, const at::TensorOptions& like = at::kFloat) {
    const auto dtype = like.dtype() == at::kDouble ? at::kDouble : at::kFloat;
    return at::rand(shape, generator_, at::TensorOptions().dtype(dtype)).to(like.device(), like.dtype().toScalarType());
  }

  /// One uniform number in [0, 1).
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }

  /// One integer in [low, high], both ends included.
  std::int64_t integer(std::int64_t low, std::int64_t high) {
    REWARD_TUNER_CHECK(low <= high, "[Rng] integer(low, high) needs low <= high, got ", low, " and ", high);
    // unsigned: no overflow over the widest range
    const auto span = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
    if (span == 0) return static_cast<std::int64_t>(bits());
    const std::uint64_t limit = UINT64_MAX - UINT64_MAX % span;  // rejection keeps every value equally likely
    std::uint64_t draw = bits();
    while (draw >= limit) draw = bits();
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + draw % span);
  }

  /// 64 random bits.
  std::uint64_t bits() {
    const std::lock_guard<std::mutex> lock(generator_.mutex());
    return at::check_generator<at::CPUGeneratorImpl>(generator_)->random64();
  }

  /// A random permutation of 0..n-1, int64 [n].
  Tensor permutation(std::int64_t n) { return at::randperm(n, generator_, at::kLong); }

  /// An independent stream derived from `seed` and a number; consumes nothing. The same arguments give the same stream.
  static Rng derive(std::uint64_t seed, std::uint64_t number) {
    return Rng(mix(seed) ^ mix(number + 0x9E3779B97F4A7C15ULL));
  }

  /// The generator's whole state, uint8 [5056] on CPU; `set_state` continues bit for bit.
  Tensor state() const {
    const std::lock_guard<std::mutex> lock(generator_.mutex());
    return generator_.get_state();
  }
  void set_state(const Tensor& state) {
    const std::lock_guard<std::mutex> lock(generator_.mutex());
    generator_.set_state(state);
  }

 private:
  static std::uint64_t mix(std::uint64_t x) {  // splitmix64, so that neighboring seeds give unrelated streams
    x += 0x9E3779B97F4A7C15ULL;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    return x ^ (x >> 31);
  }
  mutable at::Generator generator_;
};

}  // namespace reward_tuner
