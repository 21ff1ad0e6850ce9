// Definitions of gloo.hpp.
#pragma once
#include <reward_tuner/ranks/gloo.hpp>

#if !__has_include(<gloo/transport/device.h>)
#error "[RewardTuner] several processes need Gloo's headers (Debian: libgloo-dev); LibTorch has the library itself"
#endif
// LibTorch's headers hide the class without it, though every LibTorch with c10d has it
#ifndef USE_C10D_GLOO
#define USE_C10D_GLOO
#endif

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

/// A process group of c10d.
class GlooLink : public RankLink {
 public:
  GlooLink(const Launch& launch, const GlooOptions& options)
      : rank_(launch.rank), size_(launch.size), seconds_(options.time_limit) {
    named("meeting the others", [&] {
      const auto limit = std::chrono::milliseconds(static_cast<std::int64_t>(1000 * seconds_));
      c10d::TCPStoreOptions meeting;
      meeting.port = static_cast<std::uint16_t>(launch.port);
      meeting.isServer = rank_ == 0 && !launch.agent_listens;
      meeting.timeout = limit;
      meeting.waitWorkers = false;  // the group below waits for them
      store_ = c10::make_intrusive<c10d::TCPStore>(launch.address, meeting);
      store_->setTimeout(limit);
      // what an attempt before a restart left there is not ours
      const auto own =
          c10::make_intrusive<c10d::PrefixStore>("reward_tuner/" + std::to_string(launch.restarts), store_);
      auto group = c10d::ProcessGroupGloo::Options::create(limit);
      group->devices.push_back(device(launch.address));
      group_ = c10::make_intrusive<c10d::ProcessGroupGloo>(own, rank_, size_, group);
    });
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  std::vector<Tensor> gather(const Tensor& bytes) override {
    return named("gathering", [&] {
      // Gloo gathers equal sizes alone
      std::vector<Tensor> sizes;
      for (int i = 0; i < size_; ++i) sizes.push_back(at::zeros({1}, at::kLong));
      gather_equal(sizes, at::empty({1}, at::kLong).fill_(bytes.numel()));
      std::int64_t most = 1;
      for (const Tensor& size : sizes) most = std::max(most, size.item<std::int64_t>());
      const Tensor padded = at::zeros({most}, at::kByte);
      padded.narrow(0, 0, bytes.numel()).copy_(bytes);
      std::vector<Tensor> out;
      for (int i = 0; i < size_; ++i) out.push_back(at::empty({most}, at::kByte));
      gather_equal(out, padded);
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = out[i].narrow(0, 0, sizes[i].item<std::int64_t>());
      return out;
    });
  }

  void send(const Tensor& values, int to) override {
    named("sending to rank " + std::to_string(to), [&] {
      std::vector<Tensor> one{values};
      group_->send(one, to, kTag)->wait();
    });
  }
  void receive(Tensor& values, int from) override {
    named("hearing from rank " + std::to_string(from), [&] {
      std::vector<Tensor> one{values};
      group_->recv(one, from, kTag)->wait();
    });
  }
  void broadcast(Tensor& values, int from) override {
    named("hearing from rank " + std::to_string(from), [&] {
      std::vector<Tensor> one{values};
      c10d::BroadcastOptions options;
      options.rootRank = from;
      group_->broadcast(one, options)->wait();
    });
  }

 private:
  static constexpr int kTag = 0;

  static std::shared_ptr<::gloo::transport::Device> device(const std::string& address) {
    if (const char* name = std::getenv("GLOO_SOCKET_IFNAME"); name != nullptr && *name != '\0')
      return c10d::ProcessGroupGloo::createDeviceForInterface(name);
    if (address == "localhost" || address.starts_with("127."))
      return c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1");
    return c10d::ProcessGroupGloo::createDefaultDevice();
  }

  void gather_equal(std::vector<Tensor>& out, const Tensor& own) {
    std::vector<std::vector<Tensor>> lists{out};
    std::vector<Tensor> one{own};
    group_->allgather(lists, one)->wait();
  }

  /// What f does, with a sentence in front of what it throws.
  template <class F>
  auto named(const std::string& doing, F f) const -> decltype(f()) {
    try {
      return f();
    } catch (const std::exception& problem) {
      const std::string text = problem.what();
      fail("[Ranks] rank ", rank_, " of ", size_, " lost the others while ", doing,
           ": expected all of them there within ", seconds_, " s, got a rank that ended or hung (",
           text.substr(0, text.find('\n')), ")");
    }
  }

  int rank_, size_;
  double seconds_;
  c10::intrusive_ptr<c10d::TCPStore> store_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
};

}  // namespace detail

REWARD_TUNER_INLINE Ranks gloo_ranks(const Launch& launch, const GlooOptions& options) {
  REWARD_TUNER_CHECK(std::isfinite(options.time_limit) && options.time_limit > 0,
                     "[Ranks] time_limit must be > 0 seconds, got ", options.time_limit);
  return Ranks(std::make_shared<detail::GlooLink>(launch, options));
}

}  // namespace reward_tuner
