// Reward-weighted denoising: the ordinary training loss on sampled images, weighted by their rewards or restricted to
// the best of them.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/round_options.hpp>

namespace reward_tuner {

/// How rewards become weights.
enum class RewardWeighting {
  kMinMax,       ///< (r - min) / (max - min) over the round (large-scale RL paper, appendix A: reward-weighted)
  kExponential,  ///< exp((r - max) / temperature) (Lee et al. 2023; Black et al. 2024, RWR)
  /// 0 but for the `best` of each prompt's n images, which weigh n / best: the mean over all images is the mean over
  /// the best (RAFT: Dong et al. 2023)
  kBest,
};

/// How RewardWeighted weighs and denoises images, and how its rounds are sampled and trained.
struct RewardWeightedOptions {
  RewardWeighting weighting = RewardWeighting::kMinMax;  ///< see RewardWeighting
  double temperature = 0.2;  ///< of kExponential, in the reward's units, > 0 (ddpo's RWR: 1/5)
  int best = 1;              ///< of kBest, images kept of each prompt, >= 1 (RAFT: 1 of 24)
  bool frozen = true;  ///< sample from the untuned network (reward-weighted); false: from the present one (RAFT online)
  int noisings = 1;    ///< random noise levels at which each kept image is denoised per pass, >= 1
  RoundOptions round = {};  ///< how a round is sampled and trained
};
REWARD_TUNER_FIELDS(RewardWeightedOptions, weighting, temperature, best, frozen, noisings, round);

/// L = mean_i w_i * mean || target - network(alpha_t x0_i + sigma_t e, t, c_i) ||^2, t uniform over the training
/// timesteps, no guidance; target as the network predicts. Needs neither a stochastic sampler nor a gradient of the
/// reward. With kBest every prompt is sampled 8 times unless round.samples_per_prompt says otherwise.
class RewardWeighted {
 public:
  using Role = ObjectiveRole;
  using Options = RewardWeightedOptions;
  static constexpr std::string_view kName = "reward_weighted";
  static constexpr Surrogate kSurrogate = Surrogate::kDenoising;

  explicit RewardWeighted(RewardWeightedOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.temperature > 0 && std::isfinite(options_.temperature),
                       "[RewardWeighted] temperature must be > 0, got ", options_.temperature);
    REWARD_TUNER_CHECK(options_.best >= 1, "[RewardWeighted] best must be >= 1, got ", options_.best);
    REWARD_TUNER_CHECK(options_.noisings >= 1, "[RewardWeighted] noisings must be >= 1, got ", options_.noisings);
    REWARD_TUNER_CHECK(
        !options_.round.step_per_timestep,
        "[RewardWeighted] round.step_per_timestep cannot be combined with noise levels that are drawn at random");
    check_options(options_.round);
  }
  const RewardWeightedOptions& options() const { return options_; }
  int noisings() const { return options_.noisings; }
  bool samples_reference() const { return options_.frozen; }
  int default_group() const { return options_.weighting == RewardWeighting::kBest ? kComparedImages : 1; }

  /// One weight >= 0 per image; the mean is over all images. Equal rewards get equal weights: 1 with kExponential and
  /// kMinMax; kBest keeps the first.
  std::vector<double> weights(const std::vector<double>& rewards, const std::vector<std::int64_t>& groups) const {
    std::vector<double> out(rewards.size());
    if (rewards.empty()) return out;
    const auto [low, high] = std::minmax_element(rewards.begin(), rewards.end());
    switch (options_.weighting) {
      case RewardWeighting::kMinMax:
        for (std::size_t i = 0; i < out.size(); ++i) out[i] = *high > *low ? (rewards[i] - *low) / (*high - *low) : 1.0;
        break;
      case RewardWeighting::kExponential:
        for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::exp((rewards[i] - *high) / options_.temperature);
        break;
      case RewardWeighting::kBest: {
        std::map<std::int64_t, std::vector<std::size_t>> members;
        for (std::size_t i = 0; i < out.size(); ++i) members[groups[i]].push_back(i);
        for (auto& [group, list] : members) {
          std::stable_sort(list.begin(), list.end(),
                           [&](std::size_t a, std::size_t b) { return rewards[a] > rewards[b]; });
          const std::size_t best = std::min(list.size(), static_cast<std::size_t>(options_.best));
          for (std::size_t i = 0; i < best; ++i)
            out[list[i]] = static_cast<double>(list.size()) / static_cast<double>(best);
        }
        break;
      }
    }
    return out;
  }

 private:
  RewardWeightedOptions options_;
};
static_assert(DenoisingObjective<RewardWeighted>);

}  // namespace reward_tuner
