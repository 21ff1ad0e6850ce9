// Definitions of rng.hpp.
#pragma once
#include <reward_tuner/tensor/rng.hpp>

#include <mutex>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

namespace detail {

/// In the type and on the device of `like`; what a device does goes on meanwhile.
inline Tensor as_asked(const Tensor& drawn, const at::TensorOptions& like) {
  return to_device(drawn.to(like.dtype().toScalarType()), like.device());
}

}  // namespace detail

REWARD_TUNER_INLINE Tensor Rng::normal(at::IntArrayRef shape, const at::TensorOptions& like) {
  const auto dtype = like.dtype() == at::kDouble ? at::kDouble : at::kFloat;
  return detail::as_asked(at::randn(shape, generator_, at::TensorOptions().dtype(dtype)), like);
}

REWARD_TUNER_INLINE Tensor Rng::uniform(at::IntArrayRef shape, const at::TensorOptions& like) {
  const auto dtype = like.dtype() == at::kDouble ? at::kDouble : at::kFloat;
  return detail::as_asked(at::rand(shape, generator_, at::TensorOptions().dtype(dtype)), like);
}

REWARD_TUNER_INLINE std::int64_t Rng::integer(std::int64_t low, std::int64_t high) {
  REWARD_TUNER_CHECK(low <= high, "[Rng] integer(low, high) needs low <= high, got ", low, " and ", high);
  // unsigned: no overflow over the widest range
  const auto span = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
  if (span == 0) return static_cast<std::int64_t>(bits());
  const std::uint64_t limit = UINT64_MAX - UINT64_MAX % span;  // rejection keeps every value equally likely
  std::uint64_t draw = bits();
  while (draw >= limit) draw = bits();
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + draw % span);
}

REWARD_TUNER_INLINE std::uint64_t Rng::bits() {
  const std::lock_guard<std::mutex> lock(generator_.mutex());
  return at::check_generator<at::CPUGeneratorImpl>(generator_)->random64();
}

REWARD_TUNER_INLINE Rng Rng::derive(std::uint64_t seed, std::uint64_t number) {
  return Rng(mix(seed) ^ mix(number + 0x9E3779B97F4A7C15ULL));
}

REWARD_TUNER_INLINE Rng Rng::clone() const {
  const std::lock_guard<std::mutex> lock(generator_.mutex());
  return Rng(generator_.clone());
}

REWARD_TUNER_INLINE Tensor Rng::state() const {
  const std::lock_guard<std::mutex> lock(generator_.mutex());
  return generator_.get_state();
}

REWARD_TUNER_INLINE void Rng::set_state(const Tensor& state) {
  const std::lock_guard<std::mutex> lock(generator_.mutex());
  generator_.set_state(state);
}

REWARD_TUNER_INLINE std::uint64_t Rng::mix(
    std::uint64_t x) {  // splitmix64, so that neighboring seeds give unrelated streams
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

}  // namespace reward_tuner
