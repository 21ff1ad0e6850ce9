// What one process of a run sends to the others: numbers, texts and tensors, bit for bit.
#pragma once
#include <c10/core/Device.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// Values in the order in which they were added; they are read in that order. NaN and the sign of zero survive.
/// Errors: reading more than was added, or another kind of value.
class Parcel {
 public:
  Parcel() = default;
  /// As bytes() of another process had it.
  explicit Parcel(std::string bytes) : bytes_(std::move(bytes)) {}
  /// As message() of another process had it.
  explicit Parcel(const Tensor& message);

  void add_integer(std::int64_t value);
  void add_number(double value);
  void add_text(std::string_view value);
  /// Undefined ones too.
  void add_tensor(const Tensor& value);

  std::int64_t integer();
  double number();
  std::string text();
  /// On the CPU if it was there, else on `device`.
  Tensor tensor(c10::Device device);

  const std::string& bytes() const { return bytes_; }
  /// The bytes as they travel, uint8 [n] on the CPU.
  Tensor message() const;
  bool at_end() const { return next_ == bytes_.size(); }

 private:
  void add(char kind, const void* data, std::size_t size);
  void read(char kind, void* data, std::size_t size);
  /// The next `size` bytes.
  const char* take(std::size_t size);

  std::string bytes_;
  std::size_t next_ = 0;  // the first byte that was not read
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/ranks/parcel.ipp>
#endif
