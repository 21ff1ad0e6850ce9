// What ranks tell each other of the network calls that they divide.
#pragma once
#include <ATen/ops/cat.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/models/pipeline_flops.hpp>
#include <reward_tuner/ranks/parcel.hpp>
#include <reward_tuner/ranks/ranks.hpp>
#include <reward_tuner/rewards/shared_vectors.hpp>

namespace reward_tuner {

/// Adds counts to a parcel, and reads them.
inline void add_to(Parcel& parcel, const NetworkCounts& counts) {
  for (const std::int64_t count :
       {counts.forwards, counts.backwards, counts.forward_samples, counts.backward_samples, counts.retained})
    parcel.add_integer(count);
}
inline void read_from(Parcel& parcel, NetworkCounts& counts) {
  for (std::int64_t* count :
       {&counts.forwards, &counts.backwards, &counts.forward_samples, &counts.backward_samples, &counts.retained})
    *count = parcel.integer();
}
inline void add_to(Parcel& parcel, const FlopCount& flops) {
  for (const std::int64_t count : {flops.forward, flops.replayed, flops.backward}) parcel.add_integer(count);
}
inline void read_from(Parcel& parcel, FlopCount& flops) {
  for (std::int64_t* count : {&flops.forward, &flops.replayed, &flops.backward}) *count = parcel.integer();
}
inline void add_to(Parcel& parcel, const TowerCounts& towers) {
  parcel.add_integer(towers.computed);
  parcel.add_integer(towers.shared);
}
inline void read_from(Parcel& parcel, TowerCounts& towers) {
  towers.computed = parcel.integer();
  towers.shared = parcel.integer();
}

/// Adds named numbers to a parcel, and reads them.
inline void add_to(Parcel& parcel, const std::map<std::string, double>& numbers) {
  parcel.add_integer(static_cast<std::int64_t>(numbers.size()));
  for (const auto& [name, number] : numbers) {
    parcel.add_text(name);
    parcel.add_number(number);
  }
}
inline void read_from(Parcel& parcel, std::map<std::string, double>& numbers) {
  for (std::int64_t left = parcel.integer(); left > 0; --left) {
    const std::string name = parcel.text();
    numbers[name] = parcel.number();
  }
}

/// The sum of all ranks' counts: what each of them computes for itself counts once a rank.
template <class Counts>
Counts of_all_ranks(const Ranks& ranks, const Counts& own) {
  if (ranks.alone()) return own;
  Parcel parcel;
  add_to(parcel, own);
  Counts sum;
  for (Parcel& one : ranks.gather("counts", parcel)) {
    Counts theirs;
    read_from(one, theirs);
    REWARD_TUNER_CHECK(one.at_end(),
                       "[Ranks] expected counts of one kind of all ranks, got more from one; all ranks "
                       "must run the same program with the same options");
    sum.add(theirs);
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
