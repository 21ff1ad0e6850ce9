// The checks every reward shares: the images that come in, that they stay as they are, and the [B] values that go out.
#pragma once
#include <ATen/ops/allclose.h>
#include <torch/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <future>
#include <string_view>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/policy_traits.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner {

/// Throws unless `images` is a floating point [B,3,H,W] tensor with at least 2x2 pixels. `name` heads the message.
inline void check_reward_images(const Tensor& images, std::string_view name) {
  REWARD_TUNER_CHECK(images.defined(), "[", name, "] expected images [B,3,H,W], got an undefined tensor");
  REWARD_TUNER_CHECK(images.dim() == 4 && images.size(1) == 3 && images.size(2) >= 2 && images.size(3) >= 2, "[", name,
                     "] expected images [B,3,H,W] of at least 2x2 pixels, got shape ", images.sizes());
  REWARD_TUNER_CHECK(images.is_floating_point(), "[", name, "] expected floating point images in [0,1], got dtype ",
                     images.dtype().name());
}

/// Throws unless `input` has one prompt per image. `name` heads the message.
inline void check_reward_prompts(const RewardInput& input, std::string_view name) {
  REWARD_TUNER_CHECK(static_cast<std::int64_t>(input.prompts.size()) == input.images.size(0), "[", name,
                     "] expected one prompt per image (", input.images.size(0), "), got ", input.prompts.size());
}

/// Throws unless values are floating point [batch], components and parts [batch], and failed bool [batch] or undefined.
/// Numbers that are not finite pass. `name`, the reward's (see reward_name), ends the message.
inline void check_reward_result(const RewardResult& result, std::int64_t batch, std::string_view name) {
  REWARD_TUNER_CHECK(result.values.defined(),
                     "[RewardPolicy] score expected [B] values, got an undefined tensor (reward ", name, ")");
  REWARD_TUNER_CHECK(result.values.dim() == 1 && result.values.size(0) == batch,
                     "[RewardPolicy] score expected [B] values with B = ", batch, ", got shape ", result.values.sizes(),
                     " (reward ", name, ")");
  REWARD_TUNER_CHECK(result.values.is_floating_point(),
                     "[RewardPolicy] score expected floating point [B] values, got dtype ",
                     result.values.dtype().name(), " (reward ", name, ")");
  for (const auto& [key, component] : result.components)
    REWARD_TUNER_CHECK(component.defined() && component.dim() == 1 && component.size(0) == batch,
                       "[RewardPolicy] score expected components of shape [B] with B = ", batch,
                       ", got another shape in ", key, " (reward ", name, ")");
  for (const RewardPart& part : result.parts)
    REWARD_TUNER_CHECK(part.values.defined() && part.values.dim() == 1 && part.values.size(0) == batch,
                       "[RewardPolicy] score expected parts of shape [B] with B = ", batch,
                       ", got another shape (reward ", name, ")");
  REWARD_TUNER_CHECK(!result.failed.defined() || (result.failed.scalar_type() == at::kBool &&
                                                  result.failed.dim() == 1 && result.failed.size(0) == batch),
                     "[RewardPolicy] score expected failed to be bool [B] with B = ", batch, ", got ",
                     result.failed.dtype().name(), " ", result.failed.sizes(), " (reward ", name, ")");
}

/// Notices a reward that writes to its input: other parts of a sum, later measurements and the training itself read the
/// same tensors. Compares their version counters, which every in-place operation moves, on views and detached tensors
/// too; a write through a raw pointer or Tensor::data() moves none. Inference tensors have no counters and are compared
/// with a copy.
class UnchangedInput {
 public:
  explicit UnchangedInput(const RewardInput& input)
      : seen_{Seen(input.images), Seen(input.latents), Seen(input.group_ids)} {}

  /// Throws if a tensor has changed since. `name` is the reward's.
  void check(std::string_view name) const {
    constexpr std::array<std::string_view, 3> kNames = {"images", "latents", "group_ids"};
    for (std::size_t i = 0; i < kNames.size(); ++i)
      REWARD_TUNER_CHECK(
          seen_[i].unchanged(), "[RewardPolicy] the reward ", name, " changed its ", kNames[i],
          " in place: expected a reward that only reads what others read after it, got a write; work on ", kNames[i],
          ".clone()");
  }

 private:
  struct Seen {
    explicit Seen(const Tensor& t) : tensor(t) {
      if (!t.defined()) return;
      if (t.is_inference()) copy = t.clone();
      else version = t._version();
    }
    bool unchanged() const {
      if (!tensor.defined()) return true;
      if (!copy.defined()) return tensor._version() == version;
      return tensor.sizes() == copy.sizes() && at::allclose(tensor, copy, 0, 0, /*equal_nan=*/true);
    }
    Tensor tensor, copy = {};
    std::int64_t version = 0;
  };
  std::array<Seen, 3> seen_;
};

/// The reward's name in reports and errors: kName, and of an AnyReward that of the reward it holds.
template <class Reward>
std::string_view reward_name(const Reward&) {
  return Reward::kName;
}

/// The reward's result for `input`, both checked. `name` is the reward's.
template <class Reward>
RewardResult checked_score(const Reward& reward, const RewardInput& input, std::string_view name) {
  const UnchangedInput unchanged(input);
  RewardResult result = reward.score(input);
  unchanged.check(name);
  check_reward_result(result, input.images.size(0), name);
  return result;
}

/// The reward's answer for later; of a reward without, its result, checked. `name` is the reward's.
template <class Reward>
std::future<RewardResult> asked_later(const Reward& reward, const RewardInput& input, std::string_view name) {
  if constexpr (has::score_later<Reward>) {
    return reward.score_later(input);
  } else {
    std::promise<RewardResult> there;
    there.set_value(checked_score(reward, input, name));
    return there.get_future();
  }
}

}  // namespace reward_tuner
