// A link between ranks that counts what goes over another one.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <vector>

#include <reward_tuner/ranks/ranks.hpp>

namespace reward_tuner::reference {

/// What one rank sent.
struct Sent {
  std::int64_t gathers = 0, gathered = 0;      // bytes
  std::int64_t sends = 0, sent = 0;            // to the next rank
  std::int64_t broadcasts = 0, broadcast = 0;  // as the one that has the values
  std::vector<std::int64_t> messages = {};     // bytes of every broadcast, of any rank
};

class CountingLink : public RankLink {
 public:
  CountingLink(RankLink& link, Sent& sent) : link_(link), sent_(sent) {}
  int rank() const override { return link_.rank(); }
  int size() const override { return link_.size(); }
  std::vector<Tensor> gather(const Tensor& bytes) override {
    ++sent_.gathers;
    sent_.gathered += static_cast<std::int64_t>(bytes.nbytes());
    return link_.gather(bytes);
  }
  void send(const Tensor& values, int to) override {
    ++sent_.sends;
    sent_.sent += static_cast<std::int64_t>(values.nbytes());
    link_.send(values, to);
  }
  void receive(Tensor& values, int from) override { link_.receive(values, from); }
  void broadcast(Tensor& values, int from) override {
    sent_.messages.push_back(static_cast<std::int64_t>(values.nbytes()));
    if (from == rank()) {
      ++sent_.broadcasts;
      sent_.broadcast += static_cast<std::int64_t>(values.nbytes());
    }
    link_.broadcast(values, from);
  }

 private:
  RankLink& link_;
  Sent& sent_;
};

}  // namespace reward_tuner::reference
