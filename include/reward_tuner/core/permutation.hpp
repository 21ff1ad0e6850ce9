// A random order of 0..n-1 in constant memory with random access to its elements.
#pragma once
#include <cstdint>

#include <reward_tuner/core/check.hpp>

namespace reward_tuner {

/// A pseudo-random bijection of 0..size-1, fixed by (size, seed, stream). Different seeds or streams give unrelated
/// orders. A balanced Feistel network of 8 rounds, (L, R) -> (R, L xor F_r(R)), permutes the numbers of 2w bits, 4^w >=
/// size; a result outside 0..size-1 is permuted again until it falls inside ("cycle walking": less than four passes on
/// average). Three numbers of memory whatever the size; not cryptography.
/// Errors: a size outside 1..2^62.
/// Example: `const Permutation order(prompts, seed, epoch); for (std::uint64_t i = 0; i < prompts; ++i) use(order(i));`
class Permutation {
 public:
  Permutation(std::uint64_t size, std::uint64_t seed, std::uint64_t stream = 0)
      : size_(size), key_(mix(mix(seed) ^ mix(stream + 0x9E3779B97F4A7C15ULL))) {
    REWARD_TUNER_CHECK(size >= 1 && size <= (1ULL << 62), "[Permutation] expected a size in 1..2^62, got ", size);
    while ((1ULL << (2 * half_bits_)) < size) ++half_bits_;
  }

  std::uint64_t size() const { return size_; }

  /// The number at place `index` of the order. Errors: an index outside 0..size-1.
  std::uint64_t operator()(std::uint64_t index) const {
    REWARD_TUNER_CHECK(index < size_, "[Permutation] expected an index in 0..", size_ - 1, ", got ", index);
    do {
      index = pass(index);
    } while (index >= size_);  // the walk stays on one cycle of the pass, which holds the index it began with: it ends
    return index;
  }

 private:
  std::uint64_t pass(std::uint64_t x) const {
    const std::uint64_t mask = (1ULL << half_bits_) - 1;
    std::uint64_t left = x >> half_bits_, right = x & mask;
    for (std::uint64_t round = 0; round < 8; ++round) {
      const std::uint64_t next = left ^ (mix(key_ + mix(round) + right) >> (64 - half_bits_));
      left = right;
      right = next;
    }
    return left << half_bits_ | right;
  }

  static std::uint64_t mix(std::uint64_t x) {  // splitmix64, as in Rng
    x += 0x9E3779B97F4A7C15ULL;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    return x ^ (x >> 31);
  }

  std::uint64_t size_, key_;
  int half_bits_ = 1;
};

}  // namespace reward_tuner
