// Rewards of finished images without their gradient: decode and score, a few images at a time.
#pragma once
#include <ATen/ops/cat.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/engine/clean_samples.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/tensor/out_of_memory.hpp>

namespace reward_tuner {

/// The rewards of N images.
struct RewardValues {
  std::vector<double> values;                     ///< [N]
  std::map<std::string, double> components = {};  ///< means
  bool finite() const {
    return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
  }
};

/// Decodes N samples `chunk` images at a time (0: all) and scores them: each chunk alone, or all images together if the
/// reward looks at whole groups (per_group).
template <DiffusionPipeline Pipeline, RewardPolicy Reward>
RewardValues reward_values(Pipeline& pipeline, const Reward& reward, const CleanSamples& samples, std::int64_t chunk) {
  const torch::NoGradGuard no_grad;
  const std::int64_t batch = samples.size();
  chunk = chunk > 0 ? std::min(chunk, batch) : batch;
  const bool together = per_group(reward);
  RewardValues out;
  std::map<std::string, double> sums;
  const auto score = [&](const Tensor& images, std::int64_t begin, std::int64_t size) {
    const RewardInput input = samples.input(images, samples.clean.narrow(0, begin, size), begin);
    const UnchangedInput unchanged(input);
    RewardResult result;
    try {
      result = reward.score(input);
    } catch (const std::exception& e) {
      if (is_out_of_memory(e)) throw;  // no fault of the reward
      detail::fail("[RewardPolicy] the reward ", reward_name(reward), " threw: ", e.what());
    }
    unchanged.check(reward_name(reward));
    check_reward_result(result, size, reward_name(reward));
    const Tensor values = result.values.to(at::kCPU, at::kDouble).contiguous();  // [size]
    out.values.insert(out.values.end(), values.const_data_ptr<double>(), values.const_data_ptr<double>() + size);
    for (const auto& [name, component] : result.components)
      sums[name] += component.to(at::kDouble).sum().template item<double>();
  };
  std::vector<Tensor> decoded;
  for (std::int64_t begin = 0; begin < batch; begin += chunk) {
    const std::int64_t size = std::min(chunk, batch - begin);
    const Tensor images = pipeline.decode(samples.clean.narrow(0, begin, size));  // [b,3,H,W]
    if (together) decoded.push_back(images);
    else score(images, begin, size);
  }
  if (together) score(at::cat(decoded), 0, batch);
  for (const auto& [name, sum] : sums) out.components[name] = sum / static_cast<double>(batch);
  return out;
}

}  // namespace reward_tuner
