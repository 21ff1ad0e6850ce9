// A reward on randomly shifted images: `randomly_shifted(reward, max_shift)`.
#pragma once
#include <ATen/ops/cat.h>
#include <torch/types.h>

#include <cstdint>
#include <future>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/changed_result.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/takes_clip.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// The image moved left by dx and up by dy pixels; what enters repeats the last column and row: out(y,x) =
/// in(min(y+dy, H-1), min(x+dx, W-1)). That is padding by repetition and a crop to the old size. image [..,H,W], dx <
/// W, dy < H, both at least 0. Differentiable.
inline Tensor shifted(const Tensor& image, std::int64_t dx, std::int64_t dy) {
  const auto along = [](const Tensor& x, std::int64_t dim, std::int64_t by) {
    if (by == 0) return x;
    const std::int64_t size = x.size(dim);
    REWARD_TUNER_CHECK(by > 0 && by < size,
                       "[RandomlyShifted] expected a shift of at least 0 and below the image's side ", size, ", got ",
                       by);
    std::vector<std::int64_t> shape = x.sizes().vec();
    shape[static_cast<std::size_t>(x.dim() + dim)] = by;
    return at::cat({x.narrow(dim, by, size - by), x.narrow(dim, size - 1, 1).expand(shape)}, dim);
  };
  return along(along(image, -1, dx), -2, dy);  // [..,H,W]
}

/// values = reward on images shifted by dx, dy uniform in {0..max_shift} pixels, an own pair for each image (DRTune
/// paper, 4.3, before a reward's resize: max_shift = ceil(r_out / r_in) of its two sizes). Keeps a tuned model from
/// learning patterns that work at one alignment only. The draw comes from input.seeds[i] alone, so that it does not
/// depend on the batch; without seeds, as in evaluations, nothing is shifted.
/// Gradient: the reward's own, carried back to the pixels that were read; none if the reward has none.
/// Components: the reward's own value under its kName (unless it reports that name itself), and every component of it,
/// all of the shifted images.
/// Errors: max_shift below 0, or not below the images' sides; seeds that are not one per image; values that are not
/// floating point [B].
template <class Reward>
class RandomlyShifted {
  static_assert(std::is_same_v<typename Reward::Role, RewardRole>, "[RandomlyShifted] takes a reward only");

 public:
  using Role = RewardRole;
  static constexpr bool kDifferentiable = Reward::kDifferentiable;
  static constexpr bool kPerGroup = Reward::kPerGroup;
  static constexpr std::string_view kName = "randomly_shifted";

  RandomlyShifted(Reward reward, std::int64_t max_shift) : reward_(std::move(reward)), max_shift_(max_shift) {
    REWARD_TUNER_CHECK(max_shift >= 0, "[RandomlyShifted] max_shift must be at least 0, got ", max_shift);
  }

  /// True while the reward needs a CLIP and has none.
  bool needs_clip() const { return reward_needs_clip(reward_); }

  /// Passes a CLIP to the reward if it needs one and has none.
  void bind_clip(const std::shared_ptr<const ClipModel>& clip) { reward_bind_clip(reward_, clip); }

  /// As of the reward.
  bool per_group() const { return reward_tuner::per_group(reward_); }
  bool differentiable() const { return has_gradient(reward_); }

  const Reward& reward() const { return reward_; }
  std::int64_t max_shift() const { return max_shift_; }

  /// {dx, dy} of an image with this seed.
  std::pair<std::int64_t, std::int64_t> shift(std::uint64_t seed) const {
    constexpr std::uint64_t kStream = 0x5348494654ULL;  // "SHIFT": apart from every other use of the seed
    Rng rng = Rng::derive(seed, kStream);
    const std::int64_t dx = rng.integer(0, max_shift_);
    return {dx, rng.integer(0, max_shift_)};
  }

  /// See the class comment.
  RewardResult score(const RewardInput& input) const { return detail::changed_score(reward_, moved(input), unchanged); }

  /// Whether the reward is asked for an answer that is fetched later.
  bool scores_later() const { return reward_tuner::scores_later(reward_); }
  /// score() of that answer.
  std::future<RewardResult> score_later(const RewardInput& input) const {
    return detail::changed_later(reward_, moved(input), unchanged);
  }

 private:
  static void unchanged(RewardResult&) {}

  /// The input with its images shifted, if it has seeds.
  RewardInput moved(const RewardInput& input) const {
    check_reward_images(input.images, "RandomlyShifted");
    const at::AutoGradMode grad(detail::with_graph<Reward>());
    RewardInput out = input;
    if (!input.seeds.empty()) out.images = moved_images(input);  // [B,3,H,W]
    return out;
  }

  Tensor moved_images(const RewardInput& input) const {
    const Tensor& x = input.images;
    REWARD_TUNER_CHECK(static_cast<std::int64_t>(input.seeds.size()) == x.size(0),
                       "[RandomlyShifted] expected one seed per image (", x.size(0), "), got ", input.seeds.size());
    REWARD_TUNER_CHECK(max_shift_ < x.size(2) && max_shift_ < x.size(3),
                       "[RandomlyShifted] max_shift must be below the images' sides, got ", max_shift_, " for ",
                       x.size(3), "x", x.size(2));
    std::vector<Tensor> images;
    for (std::int64_t i = 0; i < x.size(0); ++i) {
      const auto [dx, dy] = shift(input.seeds[static_cast<std::size_t>(i)]);
      images.push_back(shifted(x.narrow(0, i, 1), dx, dy));  // [1,3,H,W]
    }
    return at::cat(images);  // [B,3,H,W]
  }

  Reward reward_;
  std::int64_t max_shift_;
};
static_assert(RewardPolicy<RandomlyShifted<detail::NoReward>>);

/// Example: `randomly_shifted(ClipScoreReward(clip), 3)` for images of 512 pixels and a CLIP of 224.
template <class Reward>
RandomlyShifted<Reward> randomly_shifted(Reward reward, std::int64_t max_shift) {
  return RandomlyShifted<Reward>(std::move(reward), max_shift);
}

}  // namespace reward_tuner
