// One random stream per sample, so that a sample's noise depends neither on its neighbors nor on the batch size.
#pragma once
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/tensor/device.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// The noise of B samples. Equal seeds give equal images at any batch size, micro-batch size and device. Moved, not
/// copied, as its streams are.
class SampleNoise {
 public:
  /// One stream per seed.
  explicit SampleNoise(std::vector<std::uint64_t> seeds) : seeds_(std::move(seeds)) {
    for (const std::uint64_t seed : seeds_) streams_.emplace_back(seed);
  }
  /// Returns these blocks [B,...] in order and draws nothing: for comparisons with another library's noise.
  static SampleNoise recorded(std::vector<Tensor> blocks) {
    REWARD_TUNER_CHECK(!blocks.empty() && blocks[0].dim() >= 1,
                       "[SampleNoise] expected at least one recorded block [B,...], got none");
    SampleNoise noise(std::vector<std::uint64_t>(static_cast<std::size_t>(blocks[0].size(0))));
    noise.recorded_ = std::move(blocks);
    return noise;
  }
  /// B streams with seeds drawn from `rng`.
  static SampleNoise draw(std::int64_t batch, Rng& rng) {
    std::vector<std::uint64_t> seeds(static_cast<std::size_t>(batch));
    for (auto& seed : seeds) seed = rng.bits();
    return SampleNoise(std::move(seeds));
  }

  /// The seeds of the streams: what else belongs to a sample may be derived from them (Rng::derive).
  const std::vector<std::uint64_t>& seeds() const { return seeds_; }
  std::int64_t size() const { return static_cast<std::int64_t>(streams_.size()); }
  /// Streams of samples start .. start+count-1 that draw what these would draw next.
  SampleNoise narrow(std::int64_t start, std::int64_t count) const {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
    std::iota(rows.begin(), rows.end(), start);
    return select(rows);
  }

  /// The same of the samples that `rows` names.
  SampleNoise select(const std::vector<std::int64_t>& rows) const {
    SampleNoise part({});
    for (const std::int64_t row : rows) {
      part.streams_.push_back(streams_[static_cast<std::size_t>(row)].clone());
      part.seeds_.push_back(seeds_[static_cast<std::size_t>(row)]);
    }
    for (const Tensor& block : recorded_)
      part.recorded_.push_back(block.index_select(0, beside(block, at::tensor(rows, at::kLong))));
    part.next_ = next_;
    return part;
  }

  /// The next standard normal block of every stream; `shape` begins with B.
  Tensor normal(const std::vector<std::int64_t>& shape, const at::TensorOptions& like) {
    REWARD_TUNER_CHECK(!shape.empty() && shape[0] == size(), "[SampleNoise] expected a shape that begins with the ",
                       size(), " samples");
    if (!recorded_.empty()) {
      REWARD_TUNER_CHECK(next_ < recorded_.size() && recorded_[next_].sizes() == at::IntArrayRef(shape),
                         "[SampleNoise] expected a recorded block number ", next_ + 1, " of shape ",
                         at::IntArrayRef(shape), ", got ", recorded_.size(), " blocks of shape ", recorded_[0].sizes());
      return to_device(recorded_[next_++].to(like.dtype().toScalarType()), like.device());
    }
    const std::vector<std::int64_t> one(shape.begin() + 1, shape.end());
    std::vector<Tensor> rows;
    for (Rng& stream : streams_) rows.push_back(stream.normal(one, like.device(at::kCPU)));
    return to_device(at::stack(rows), like.device());
  }

 private:
  std::vector<std::uint64_t> seeds_;
  std::vector<Rng> streams_;
  std::vector<Tensor> recorded_;
  std::size_t next_ = 0;  // of recorded_
};

}  // namespace reward_tuner
