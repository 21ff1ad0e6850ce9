// Definitions of parcel.hpp.
#pragma once
#include <reward_tuner/ranks/parcel.hpp>

#include <ATen/ops/empty.h>

#include <cstring>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE Parcel::Parcel(const Tensor& message)
    : bytes_(static_cast<const char*>(message.const_data_ptr()), message.nbytes()) {}

REWARD_TUNER_INLINE Tensor Parcel::message() const {
  Tensor out = at::empty({static_cast<std::int64_t>(bytes_.size())}, at::kByte);
  std::memcpy(out.mutable_data_ptr(), bytes_.data(), bytes_.size());
  return out;
}

REWARD_TUNER_INLINE void Parcel::add(char kind, const void* data, std::size_t size) {
  bytes_.push_back(kind);
  bytes_.append(static_cast<const char*>(data), size);
}

REWARD_TUNER_INLINE const char* Parcel::take(std::size_t size) {
  REWARD_TUNER_CHECK(size <= bytes_.size() - next_, "[Ranks] a parcel of another rank is too short: expected ", size,
                     " more bytes, got ", bytes_.size() - next_);
  const char* data = bytes_.data() + next_;
  next_ += size;
  return data;
}

REWARD_TUNER_INLINE void Parcel::read(char kind, void* data, std::size_t size) {
  const char got = *take(1);
  REWARD_TUNER_CHECK(got == kind, "[Ranks] a parcel of another rank holds another value: expected the kind ", kind,
                     ", got ", got);
  std::memcpy(data, take(size), size);
}

REWARD_TUNER_INLINE void Parcel::add_integer(std::int64_t value) { add('i', &value, sizeof value); }

REWARD_TUNER_INLINE void Parcel::add_number(double value) { add('n', &value, sizeof value); }

REWARD_TUNER_INLINE void Parcel::add_text(std::string_view value) {
  const std::uint64_t size = value.size();
  add('t', &size, sizeof size);
  bytes_.append(value);
}

REWARD_TUNER_INLINE void Parcel::add_tensor(const Tensor& value) {
  const std::int64_t dims = value.defined() ? value.dim() : -1;
  add('x', &dims, sizeof dims);
  if (dims < 0) return;
  add_integer(static_cast<std::int64_t>(value.scalar_type()));
  add_integer(value.device().is_cpu() ? 1 : 0);
  for (const std::int64_t size : value.sizes()) add_integer(size);
  const Tensor plain = value.detach().cpu().contiguous();
  bytes_.append(static_cast<const char*>(plain.const_data_ptr()), plain.nbytes());
}

REWARD_TUNER_INLINE std::int64_t Parcel::integer() {
  std::int64_t value = 0;
  read('i', &value, sizeof value);
  return value;
}

REWARD_TUNER_INLINE double Parcel::number() {
  double value = 0;
  read('n', &value, sizeof value);
  return value;
}

REWARD_TUNER_INLINE std::string Parcel::text() {
  std::uint64_t size = 0;
  read('t', &size, sizeof size);
  const char* data = take(static_cast<std::size_t>(size));
  return {data, static_cast<std::size_t>(size)};
}

REWARD_TUNER_INLINE Tensor Parcel::tensor(c10::Device device) {
  std::int64_t dims = 0;
  read('x', &dims, sizeof dims);
  if (dims < 0) return {};
  const auto type = static_cast<at::ScalarType>(integer());
  const bool on_cpu = integer() == 1;
  std::vector<std::int64_t> sizes;
  for (std::int64_t i = 0; i < dims; ++i) sizes.push_back(integer());
  const Tensor value = at::empty(sizes, at::TensorOptions(type));
  if (value.nbytes() > 0) std::memcpy(value.mutable_data_ptr(), take(value.nbytes()), value.nbytes());
  return on_cpu ? value : to_device(value, device);
}

}  // namespace reward_tuner
