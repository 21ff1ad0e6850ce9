// One random stream a sample, so that what a sample sees depends neither on its neighbours nor on how the batch is cut.
#pragma once
#include <ATen/ops/stack.h>
#include <torch/types.h>

#include <cstdint>
#include <vector>

#include <reward_tuner/backend/rng.hpp>

namespace reward_tuner {

/// The noise of B samples. Equal seeds give equal pictures at any batch size, micro-batch size and device.
class SampleNoise {
 public:
  /// One stream a seed.
  explicit SampleNoise(const std::vector<std::uint64_t>& seeds) {
    for (const std::uint64_t seed : seeds) streams_.emplace_back(seed);
  }
  /// B streams with seeds drawn from `rng`.
  static SampleNoise draw(std::int64_t batch, Rng& rng) {
    std::vector<std::uint64_t> seeds(static_cast<std::size_t>(batch));
    for (auto& seed : seeds) seed = rng.bits();
    return SampleNoise(seeds);
  }

  std::int64_t size() const { return static_cast<std::int64_t>(streams_.size()); }
  /// The streams of samples start .. start+count-1 (shared, not copied: each stream belongs to one sample).
  SampleNoise narrow(std::int64_t start, std::int64_t count) const {
    SampleNoise part({});
    part.streams_.assign(streams_.begin() + start, streams_.begin() + start + count);
    return part;
  }

  /// The next standard normal block of every stream; `shape` begins with B.
  Tensor normal(const std::vector<std::int64_t>& shape, const at::TensorOptions& like) {
    REWARD_TUNER_CHECK(!shape.empty() && shape[0] == size(), "[SampleNoise] wanted a shape that begins with the ", size(), " samples");
    const std::vector<std::int64_t> one(shape.begin() + 1, shape.end());
    std::vector<Tensor> rows;
    for (Rng& stream : streams_) rows.push_back(stream.normal(one, like));
    return at::stack(rows);
  }

 private:
  std::vector<Rng> streams_;
};

}  // namespace reward_tuner
