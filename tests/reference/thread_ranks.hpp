// Ranks as threads of one process, for what does not depend on how they reach each other.
#pragma once
#include <torch/types.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/ranks/ranks.hpp>

namespace reward_tuner::reference {

/// Where the threads leave what they send.
struct ThreadDesk {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::pair<int, int>, std::deque<Tensor>> sent;  // by sender and receiver
  bool broken = false;                                     // a rank ended with an error
};

class ThreadLink : public RankLink {
 public:
  ThreadLink(std::shared_ptr<ThreadDesk> desk, int rank, int size) : desk_(std::move(desk)), rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::vector<Tensor> gather(const Tensor& bytes) override {
    for (int other = 0; other < size_; ++other)
      if (other != rank_) put(bytes, other);
    std::vector<Tensor> out;
    for (int other = 0; other < size_; ++other) out.push_back(other == rank_ ? bytes : take(other));
    return out;
  }
  void send(const Tensor& values, int to) override { put(values, to); }
  void receive(Tensor& values, int from) override { values.copy_(take(from)); }
  void broadcast(Tensor& values, int from) override {
    if (rank_ != from) return receive(values, from);
    for (int other = 0; other < size_; ++other)
      if (other != rank_) put(values, other);
  }

 private:
  void put(const Tensor& values, int to) {
    const std::lock_guard lock(desk_->mutex);
    desk_->sent[{rank_, to}].push_back(values.clone());
    desk_->changed.notify_all();
  }
  Tensor take(int from) {
    std::unique_lock lock(desk_->mutex);
    auto& mine = desk_->sent[{from, rank_}];
    desk_->changed.wait(lock, [&] { return !mine.empty() || desk_->broken; });
    REWARD_TUNER_CHECK(!mine.empty(), "[Ranks] rank ", from, " is gone");
    Tensor out = mine.front();
    mine.pop_front();
    return out;
  }

  std::shared_ptr<ThreadDesk> desk_;
  int rank_, size_;
};

/// Calls work(ranks) on `size` ranks at once, one thread of computation each. Throws what the first one to fail threw.
template <class Work>
void on_ranks(int size, Work work) {
  if (size == 1) return work(Ranks());
  const auto desk = std::make_shared<ThreadDesk>();
  std::exception_ptr problem;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      try {
        work(Ranks(std::make_shared<ThreadLink>(desk, rank, size)));
      } catch (...) {
        const std::lock_guard lock(desk->mutex);
        if (!problem) problem = std::current_exception();
        desk->broken = true;
        desk->changed.notify_all();
      }
    });
  for (std::thread& thread : threads) thread.join();
  if (problem) std::rethrow_exception(problem);
}

}  // namespace reward_tuner::reference
