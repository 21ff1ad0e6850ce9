// Definitions of sharded_optimizer.hpp.
#pragma once
#include <reward_tuner/ranks/sharded_optimizer.hpp>

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstdint>
#include <numeric>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/tensor/stage_clock.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE std::vector<int> owners(const Ranks& ranks, const std::vector<Tensor>& parameters) {
  const auto size = static_cast<std::size_t>(ranks.size());
  REWARD_TUNER_CHECK(size == 1 || parameters.size() >= size, "[ShardedOptimizer] expected at least as many parameters",
                     " as ranks, got ", parameters.size(), " of ", size);
  std::vector<std::size_t> order(parameters.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return parameters[a].numel() > parameters[b].numel(); });
  std::vector<std::int64_t> numbers(size, 0), count(size, 0);
  std::vector<int> owner(parameters.size());
  for (const std::size_t i : order) {
    std::size_t least = 0;  // of equally loaded ranks the one with fewer tensors: none stays without
    for (std::size_t r = 1; r < size; ++r)
      if (std::pair(numbers[r], count[r]) < std::pair(numbers[least], count[least])) least = r;
    owner[i] = static_cast<int>(least);
    numbers[least] += parameters[i].numel();
    ++count[least];
  }
  return owner;
}

REWARD_TUNER_INLINE void share_owned(const Ranks& ranks, const std::vector<Tensor>& parameters,
                                     const std::vector<int>& owner) {
  if (ranks.alone()) return;
  constexpr std::int64_t kBytes = 1 << 20;  // a message is at least so long, but for a rank's last
  const torch::NoGradGuard no_grad;
  const StageScope stage(Stage::kCommunication);
  for (int from = 0; from < ranks.size(); ++from) {
    std::vector<Tensor> together;
    std::int64_t bytes = 0;
    const auto send = [&] {
      if (together.empty()) return;
      Tensor flat = at::empty({bytes}, at::kByte);
      std::int64_t at = 0;
      if (ranks.rank() == from)
        for (const Tensor& p : together) {
          const auto size = static_cast<std::int64_t>(p.nbytes());
          flat.narrow(0, at, size).copy_(p.detach().cpu().contiguous().reshape({-1}).view(at::kByte));
          at += size;
        }
      ranks.link()->broadcast(flat, from);
      at = 0;
      if (ranks.rank() != from)
        for (Tensor& p : together) {
          const auto size = static_cast<std::int64_t>(p.nbytes());
          // a copy: the bytes need not lie where a number of this type may
          p.copy_(flat.narrow(0, at, size).clone().view(p.scalar_type()).reshape(p.sizes()));
          at += size;
        }
      together.clear();
      bytes = 0;
    };
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (owner[i] != from) continue;
      together.push_back(parameters[i]);
      bytes += static_cast<std::int64_t>(parameters[i].nbytes());
      if (bytes >= kBytes) send();
    }
    send();
  }
}

REWARD_TUNER_INLINE std::map<std::string, Tensor> gathered_on_first(const Ranks& ranks,
                                                                    std::map<std::string, Tensor> own) {
  if (ranks.alone()) return own;
  const StageScope stage(Stage::kCommunication);
  RankLink& link = *ranks.link();
  // a length, then a parcel of so many bytes; of length 0 there is no more
  if (!ranks.first()) {
    for (const auto& [name, value] : own) {
      Parcel parcel;
      parcel.add_text(name);
      parcel.add_tensor(value);
      const Tensor sent = parcel.message();
      link.send(at::empty({1}, at::kLong).fill_(sent.numel()), 0);
      link.send(sent, 0);
    }
    link.send(at::empty({1}, at::kLong).fill_(0), 0);
    return own;
  }
  for (int from = 1; from < ranks.size(); ++from)
    for (;;) {
      Tensor length = at::empty({1}, at::kLong);
      link.receive(length, from);
      if (length.item<std::int64_t>() == 0) break;
      Tensor got = at::empty({length.item<std::int64_t>()}, at::kByte);
      link.receive(got, from);
      Parcel parcel(got);
      const std::string name = parcel.text();
      const bool fresh = own.emplace(name, parcel.tensor(at::kCPU)).second;
      REWARD_TUNER_CHECK(fresh, "[ShardedOptimizer] expected each tensor of the state of one rank, got ", name,
                         " of rank ", from, " and of another one");
    }
  return own;
}

}  // namespace reward_tuner
