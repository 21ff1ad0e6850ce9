// Definitions of weights_source.hpp.
#pragma once
#include <reward_tuner/files/weights_source.hpp>

#include <ATen/ops/empty.h>

#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE WeightsSource::WeightsSource(const SafetensorsFile& file) : where_("'" + file.path() + "'") {
  add(file);
}

REWARD_TUNER_INLINE void WeightsSource::add(const SafetensorsFile& file) {
  for (const std::string& name : file.names()) add(name, file, name);
}

REWARD_TUNER_INLINE void WeightsSource::add(const std::string& name, const SafetensorsFile& file,
                                            const std::string& key, View view) {
  std::vector<std::int64_t> shape = file.shape(key);
  at::ScalarType dtype = file.dtype(key);
  if (view) {
    const Tensor seen = view(at::empty(shape, at::TensorOptions().dtype(dtype).device(at::kMeta)));
    shape = seen.sizes().vec();
    dtype = seen.scalar_type();
  }
  const auto [found, is_new] = entries_.emplace(name, Entry{file, key, std::move(view), std::move(shape), dtype});
  REWARD_TUNER_CHECK(is_new, "[Weights] ", where_, ": expected one tensor ", detail::shortened(name),
                     ", got two: ", detail::shortened(found->second.key), " of '", found->second.file.path(), "' and ",
                     detail::shortened(key), " of '", file.path(), "'");
}

REWARD_TUNER_INLINE std::vector<std::string> WeightsSource::names() const {
  std::vector<std::string> all;
  for (const auto& [name, entry] : entries_) all.push_back(name);
  return all;
}

REWARD_TUNER_INLINE Tensor WeightsSource::tensor(const std::string& name) const {
  const Entry& entry = find(name);
  const Tensor stored = entry.file.tensor(entry.key);
  return entry.view ? entry.view(stored) : stored;
}

REWARD_TUNER_INLINE bool WeightsSource::is_straight(const std::string& name, const Tensor& target) const {
  const Entry& entry = find(name);
  // as stored; bytes of a bool are not taken as they are
  const bool same = !entry.view && entry.dtype == target.scalar_type() && entry.dtype != at::kBool;
  return same && target.is_cpu() && target.is_contiguous();
}

REWARD_TUNER_INLINE void WeightsSource::copy(const std::string& name, const Tensor& target) const {
  if (is_straight(name, target)) find(name).file.read(find(name).key, target.data_ptr());
  else target.copy_(tensor(name));
}

REWARD_TUNER_INLINE const WeightsSource::Entry& WeightsSource::find(const std::string& name) const {
  const auto found = entries_.find(name);
  REWARD_TUNER_CHECK(found != entries_.end(), "[Weights] ", where_, ": expected a tensor ", detail::shortened(name),
                     ", got none among its ", entries_.size());
  return found->second;
}

}  // namespace reward_tuner
