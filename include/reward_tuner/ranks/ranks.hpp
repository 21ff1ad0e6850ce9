// The processes that share the work of a run.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/ranks/parcel.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// How the ranks reach each other; ranks/gloo.hpp has one over the network. Every call is made by all of them, in one
/// order, and throws where another rank is gone or silent for longer than the time limit.
class RankLink {
 public:
  RankLink() = default;
  RankLink(const RankLink&) = delete;
  RankLink& operator=(const RankLink&) = delete;
  virtual ~RankLink() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// The bytes of every rank, in their order. bytes: uint8 [n] on the CPU, n different from rank to rank
  virtual std::vector<Tensor> gather(const Tensor& bytes) = 0;
  /// From one rank to another, a contiguous tensor on the CPU that both know the size of.
  virtual void send(const Tensor& values, int to) = 0;
  virtual void receive(Tensor& values, int from) = 0;
  /// From one to all.
  virtual void broadcast(Tensor& values, int from) = 0;
};

/// The ranks of a run, and which of them this process is. Each computes a part of every update and gets what the others
/// have computed, so that all of them hold the same numbers afterwards; what is cheap each computes for itself. Made
/// without a link it is one process that is alone: nothing is sent then, and nothing is different.
/// Errors: an exception in one rank ends its process's part of the run; the others throw from their next call.
class Ranks {
 public:
  Ranks() = default;
  /// Errors: no link, or a rank outside 0..size-1.
  explicit Ranks(std::shared_ptr<RankLink> link);

  int rank() const { return link_ ? link_->rank() : 0; }
  int size() const { return link_ ? link_->size() : 1; }
  bool alone() const { return size() == 1; }
  /// Whether this is the one that writes and prints.
  bool first() const { return rank() == 0; }

  /// The part of `count` things in order, {begin, end}, that is this rank's. They stay together in pieces of `piece`
  /// (the last one smaller); every rank has equally many pieces, or one more than others, the first ones.
  std::pair<std::int64_t, std::int64_t> own(std::int64_t count, std::int64_t piece = 1) const;

  /// The parcels of all ranks, in their order. `what` it is about must be the same of all.
  /// Errors: ranks that send something else, which run another program or other options.
  std::vector<Parcel> gather(std::string_view what, const Parcel& own) const;
  /// The first rank's number, of all.
  double firsts(double value) const;
  /// Whether it is true of any rank.
  bool any(bool own) const;

  RankLink* link() const { return link_.get(); }

 private:
  std::shared_ptr<RankLink> link_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/ranks/ranks.ipp>
#endif
