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
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/core/advantage_input.hpp>
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/engine/clean_samples.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/shared_vectors.hpp>
#include <reward_tuner/tensor/out_of_memory.hpp>

namespace reward_tuner {

/// The rewards of N images.
struct RewardValues {
  std::vector<double> values;                     ///< [N]
  std::map<std::string, double> components = {};  ///< means
  std::vector<RewardTerm> terms = {};             ///< of a weighted sum: its parts, of all images
  TowerCounts towers = {};                        ///< of the reward's image towers
  bool finite() const {
    return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
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

}  // namespace detail

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
    out.towers.add(input.vectors->counts());
    check_reward_result(result, size, reward_name(reward));
    const Tensor values = result.values.to(at::kCPU, at::kDouble).contiguous();  // [size]
    detail::append_parts(result, values, out.terms, begin == 0, reward_name(reward));
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
