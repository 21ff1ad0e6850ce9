// Rewards of finished images without their gradient: decode and score, a few images at a time.
#pragma once
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <future>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/core/advantage_input.hpp>
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/engine/clean_samples.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/engine/shared_work.hpp>
#include <reward_tuner/ranks/ranks.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/shared_vectors.hpp>
#include <reward_tuner/tensor/device.hpp>
#include <reward_tuner/tensor/out_of_memory.hpp>
#include <reward_tuner/tensor/stage_clock.hpp>

namespace reward_tuner {

/// The rewards of N images.
struct RewardValues {
  std::vector<double> values;                     ///< [N]; NaN where `failed`
  std::map<std::string, double> components = {};  ///< means over the images that have a score
  std::vector<bool> failed = {};                  ///< [N] images whose score could not be had (RewardResult::failed)
  std::vector<RewardTerm> terms = {};             ///< of a weighted sum: its parts, of all images
  TowerCounts towers = {};                        ///< of the reward's image towers

  std::int64_t count_failed() const { return std::count(failed.begin(), failed.end(), true); }
  /// Of the scores that there are.
  bool finite() const {
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!failed[i] && !std::isfinite(values[i])) return false;
    return true;
  }
};

namespace detail {

/// Appends the parts of some images. Errors: other parts than those of the images before, or whose weighted sum is not
/// the values [size].
inline void append_parts(const RewardResult& result, const Tensor& values, std::vector<RewardTerm>& terms, bool first,
                         std::string_view name) {
  if (first) terms.resize(result.parts.size());
  REWARD_TUNER_CHECK(terms.size() == result.parts.size(), "[RewardPolicy] the reward ", name, " expected ",
                     terms.size(), " parts as of the images before, got ", result.parts.size());
  if (terms.empty()) return;
  Tensor sum = at::zeros_like(values), size = at::zeros_like(values);  // [b], [b]
  for (std::size_t k = 0; k < terms.size(); ++k) {
    const RewardPart& part = result.parts[k];
    const Tensor own = part.values.to(at::kCPU, at::kDouble).contiguous();  // [b]
    sum += part.weight * own;
    size += (part.weight * own).abs();
    terms[k].weight = part.weight;
    terms[k].values.insert(terms[k].values.end(), own.const_data_ptr<double>(),
                           own.const_data_ptr<double>() + own.numel());
  }
  constexpr double kRounding = 1e-2;  // of bfloat16
  REWARD_TUNER_CHECK(
      !values.isfinite().all().item<bool>() || (sum - values).abs().le(kRounding * size).all().item<bool>(),
      "[RewardPolicy] the reward ", name,
      " expected parts whose weighted sum is its values, got others: clear RewardResult::parts where "
      "values are changed");
}

/// What a reward said of some images, and how often towers ran for it.
struct ChunkReward {
  RewardResult result;
  TowerCounts towers;
  std::int64_t size = 0;  ///< images
};

inline void add_to(Parcel& parcel, const ChunkReward& answer) {
  parcel.add_integer(answer.size);
  add_to(parcel, answer.towers);
  parcel.add_tensor(answer.result.values);
  parcel.add_tensor(answer.result.failed);
  parcel.add_integer(static_cast<std::int64_t>(answer.result.parts.size()));
  for (const RewardPart& part : answer.result.parts) {
    parcel.add_number(part.weight);
    parcel.add_tensor(part.values);
  }
  parcel.add_integer(static_cast<std::int64_t>(answer.result.components.size()));
  for (const auto& [name, values] : answer.result.components) {
    parcel.add_text(name);
    parcel.add_tensor(values);
  }
}
inline ChunkReward chunk_from(Parcel& parcel) {
  ChunkReward out;
  out.size = parcel.integer();
  read_from(parcel, out.towers);
  out.result.values = parcel.tensor(at::kCPU);
  out.result.failed = parcel.tensor(at::kCPU);
  out.result.parts.resize(static_cast<std::size_t>(parcel.integer()));
  for (RewardPart& part : out.result.parts) {
    part.weight = parcel.number();
    part.values = parcel.tensor(at::kCPU);
  }
  for (std::int64_t left = parcel.integer(); left > 0; --left) {
    const std::string name = parcel.text();
    out.result.components[name] = parcel.tensor(at::kCPU);
  }
  return out;
}

/// Adds up what a reward says of the images of a round, part by part.
class RewardTotal {
 public:
  /// `name` is the reward's.
  explicit RewardTotal(std::string_view name) : name_(name) {}

  void add(ChunkReward answer) {
    check_reward_result(answer.result, answer.size, name_);
    answers_.push_back(std::move(answer));
  }

  /// Of all ranks' images, in the order of the ranks.
  RewardValues finish(const Ranks& ranks) {
    if (!ranks.alone()) {
      Parcel own;
      own.add_integer(static_cast<std::int64_t>(answers_.size()));
      for (const ChunkReward& answer : answers_) add_to(own, answer);
      answers_.clear();
      for (Parcel& one : ranks.gather("rewards", own))
        for (std::int64_t left = one.integer(); left > 0; --left) answers_.push_back(chunk_from(one));
    }
    for (const ChunkReward& answer : answers_) sum(answer);
    const auto scored = static_cast<double>(static_cast<std::int64_t>(out_.values.size()) - out_.count_failed());
    for (const auto& [name, sum] : sums_) out_.components[name] = sum / scored;
    return std::move(out_);
  }

 private:
  void sum(const ChunkReward& answer) {
    const RewardResult& result = answer.result;
    const std::int64_t size = answer.size;
    out_.towers.add(answer.towers);
    const Tensor values = result.values.to(at::kCPU, at::kDouble).contiguous();  // [size]
    append_parts(result, values, out_.terms, out_.values.empty(), name_);
    out_.values.insert(out_.values.end(), values.const_data_ptr<double>(), values.const_data_ptr<double>() + size);
    Tensor scored;  // bool [size]
    if (result.failed.defined()) {
      const Tensor failed = result.failed.cpu().contiguous();  // bool [size]
      out_.failed.insert(out_.failed.end(), failed.const_data_ptr<bool>(), failed.const_data_ptr<bool>() + size);
      scored = result.failed.logical_not();
    }
    out_.failed.resize(out_.values.size());
    for (const auto& [key, component] : result.components)
      sums_[key] += (scored.defined() ? component.masked_select(beside(component, scored)) : component)
                        .to(at::kDouble)
                        .sum()
                        .template item<double>();
  }

  std::string name_;
  std::vector<ChunkReward> answers_;
  RewardValues out_;
  std::map<std::string, double> sums_;
};

/// What `ask` says of the reward, with its name in front of what it throws.
template <class Reward, class Ask>
auto named_failure(const Reward& reward, Ask ask) {
  const StageScope stage(Stage::kReward);
  try {
    return ask();
  } catch (const std::exception& e) {
    if (is_out_of_memory(e)) throw;  // no fault of the reward
    fail("[RewardPolicy] the reward ", reward_name(reward), " threw: ", e.what());
  }
}

}  // namespace detail

/// Rewards of samples that are finished one micro-batch after the other, by a reward that scores later: each is decoded
/// and sent while the next is sampled.
template <DiffusionPipeline Pipeline, RewardPolicy Reward>
class LaterRewards {
 public:
  /// Decodes `chunk` images at a time (0: a micro-batch). All but the ranks are kept by reference.
  LaterRewards(Pipeline& pipeline, const Reward& reward, std::int64_t chunk, Ranks ranks)
      : pipeline_(pipeline), reward_(reward), chunk_(chunk), ranks_(std::move(ranks)) {}

  /// Decodes further samples and asks for their scores.
  void add(const CleanSamples& samples) {
    const torch::NoGradGuard no_grad;
    const std::int64_t chunk = chunk_ > 0 ? chunk_ : samples.size();
    for (std::int64_t begin = 0; begin < samples.size(); begin += chunk) {
      const std::int64_t size = std::min(chunk, samples.size() - begin);
      const Tensor latents = samples.clean.narrow(0, begin, size);                         // [b,C,h,w]
      const RewardInput input = samples.input(pipeline_.decode(latents), latents, begin);  // [b,3,H,W]
      const UnchangedInput unchanged(input);
      auto result = detail::named_failure(reward_, [&] { return asked_later(reward_, input, reward_name(reward_)); });
      unchanged.check(reward_name(reward_));
      // counts alone: the vectors would keep the images of the whole round
      asked_.push_back({size, input.vectors->counts(), std::move(result)});
    }
  }

  /// Waits for the scores of all samples that were added, here and on other ranks.
  RewardValues finish() {
    detail::RewardTotal total(reward_name(reward_));
    for (Asked& asked : asked_)
      total.add({detail::named_failure(reward_, [&] { return asked.result.get(); }), asked.towers, asked.size});
    return total.finish(ranks_);
  }

 private:
  struct Asked {
    std::int64_t size;
    TowerCounts towers;
    std::future<RewardResult> result;
  };
  Pipeline& pipeline_;
  const Reward& reward_;
  std::int64_t chunk_;
  Ranks ranks_;
  std::vector<Asked> asked_ = {};
};

/// Decodes N samples `chunk` images at a time (0: all) and scores them: each chunk alone, or all images together if the
/// reward looks at whole groups (per_group). Each rank decodes and scores some chunks; what looks at whole groups is
/// scored by each.
template <DiffusionPipeline Pipeline, RewardPolicy Reward>
RewardValues reward_values(Pipeline& pipeline, const Reward& reward, const CleanSamples& samples, std::int64_t chunk,
                           const Ranks& ranks = {}) {
  const torch::NoGradGuard no_grad;
  const std::int64_t batch = samples.size();
  chunk = chunk > 0 ? std::min(chunk, batch) : batch;
  const bool together = per_group(reward);
  detail::RewardTotal total(reward_name(reward));
  const auto score = [&](const Tensor& images, std::int64_t begin, std::int64_t size) {
    const RewardInput input = samples.input(images, samples.clean.narrow(0, begin, size), begin);
    const UnchangedInput unchanged(input);
    const RewardResult result = detail::named_failure(reward, [&] { return reward.score(input); });
    unchanged.check(reward_name(reward));
    total.add({result, input.vectors->counts(), size});
  };
  std::vector<Tensor> decoded;
  const auto [first, end] = ranks.own(batch, chunk);
  for (std::int64_t begin = first; begin < end; begin += chunk) {
    const std::int64_t size = std::min(chunk, batch - begin);
    const Tensor images = pipeline.decode(samples.clean.narrow(0, begin, size));  // [b,3,H,W]
    if (together) decoded.push_back(images);
    else score(images, begin, size);
  }
  if (!together) return total.finish(ranks);
  const Tensor own = decoded.empty() ? Tensor() : at::cat(decoded);
  score(of_all_ranks(ranks, "images", {own}, samples.clean.device())[0], 0, batch);
  return total.finish({});
}

}  // namespace reward_tuner
