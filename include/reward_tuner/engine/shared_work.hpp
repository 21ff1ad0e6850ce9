// What ranks tell each other of the network calls that they divide.
#pragma once
#include <ATen/ops/cat.h>

#include <string_view>
#include <vector>

#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/models/pipeline_flops.hpp>
#include <reward_tuner/ranks/ranks.hpp>

namespace reward_tuner {

/// Adds network calls to a parcel, and reads them.
inline void add_to(Parcel& parcel, const NetworkCounts& counts) {
  for (const std::int64_t count :
       {counts.forwards, counts.backwards, counts.forward_samples, counts.backward_samples, counts.retained})
    parcel.add_integer(count);
}
inline NetworkCounts counts_from(Parcel& parcel) {
  NetworkCounts counts;
  for (std::int64_t* count :
       {&counts.forwards, &counts.backwards, &counts.forward_samples, &counts.backward_samples, &counts.retained})
    *count = parcel.integer();
  return counts;
}

/// The sum over the ranks.
inline NetworkCounts of_all_ranks(const Ranks& ranks, const NetworkCounts& own) {
  if (ranks.alone()) return own;
  Parcel parcel;
  add_to(parcel, own);
  NetworkCounts sum;
  for (Parcel& one : ranks.gather("network calls", parcel)) sum.add(counts_from(one));
  return sum;
}

/// What all ranks did, so that what each of them computes counts once a rank.
inline FlopCount of_all_ranks(const Ranks& ranks, const FlopCount& own) {
  if (ranks.alone()) return own;
  Parcel parcel;
  for (const std::int64_t count : {own.forward, own.replayed, own.backward}) parcel.add_integer(count);
  FlopCount sum;
  for (Parcel& one : ranks.gather("arithmetic", parcel)) {
    FlopCount other;
    for (std::int64_t* count : {&other.forward, &other.replayed, &other.backward}) *count = one.integer();
    sum.add(other);
  }
  return sum;
}

/// Tensors of the whole batch from every rank's samples of each, which follow one another rank by rank. `own`: the same
/// number of tensors on every rank, [n,...] of its n samples, undefined where it has none or where nobody has any.
/// `device`: of tensors that are not on the CPU.
inline std::vector<Tensor> of_all_ranks(const Ranks& ranks, std::string_view what, const std::vector<Tensor>& own,
                                        c10::Device device) {
  if (ranks.alone()) return own;
  Parcel parcel;
  for (const Tensor& tensor : own) parcel.add_tensor(tensor);
  std::vector<std::vector<Tensor>> parts(own.size());
  for (Parcel& one : ranks.gather(what, parcel))
    for (auto& part : parts)
      if (Tensor tensor = one.tensor(device); tensor.defined()) part.push_back(std::move(tensor));
  std::vector<Tensor> out;
  for (const auto& part : parts) out.push_back(part.empty() ? Tensor() : part.size() == 1 ? part[0] : at::cat(part));
  return out;
}

}  // namespace reward_tuner
