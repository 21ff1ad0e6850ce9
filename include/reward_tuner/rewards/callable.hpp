// Rewards made of any callable: `differentiable(f)` and `black_box(f)`.
#pragma once
#include <torch/types.h>

#include <concepts>
#include <string_view>
#include <type_traits>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner {

namespace detail {

// Images are tried first, so that a lambda over `const auto& images` is read as one over images.
template <class F>
inline constexpr bool takes_images = std::is_invocable_v<const F&, const Tensor&>;

template <class F>
auto call_reward(const F& f, const RewardInput& input) {
  if constexpr (takes_images<F>) {
    return f(input.images);
  } else {
    return f(input);
  }
}

template <class F>
concept RewardCallable = takes_images<F> || std::is_invocable_v<const F&, const RewardInput&>;

template <class F>
concept RewardAnswer = requires(const F& f, const RewardInput& input) {
  requires std::same_as<decltype(call_reward(f, input)), Tensor> ||
               std::same_as<decltype(call_reward(f, input)), RewardResult>;
};

template <class F>
consteval bool explain_reward_callable() {
  static_assert(RewardCallable<F>,
                "[CallableReward] expected a const callable over (const Tensor& images) or (const RewardInput&)");
  if constexpr (RewardCallable<F>)
    static_assert(RewardAnswer<F>, "[CallableReward] expected a callable that returns Tensor [B] or RewardResult");
  return true;
}

}  // namespace detail

/// A reward made of a callable: `(const Tensor& images [B,3,H,W]) -> Tensor [B]`, or the same over `const
/// RewardInput&`, or one that returns a RewardResult. Higher is better. Make one by `differentiable(f)` or
/// `black_box(f)`.
/// Gradient: with Differentiable the graph of `f` is kept, and a result that does not depend on the images is an
/// error (its gradient would silently be zero); without it `f` runs without grad and the values are detached.
/// Errors: values that are not floating point [B].
template <class F, bool Differentiable>
class CallableReward {
  static_assert(detail::explain_reward_callable<F>());

 public:
  using Role = RewardRole;
  static constexpr bool kDifferentiable = Differentiable;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = Differentiable ? "callable" : "black_box";

  explicit CallableReward(F f) : f_(std::move(f)) {}

  /// The callable's values, checked.
  RewardResult score(const RewardInput& input) const {
    REWARD_TUNER_CHECK(input.images.defined() && input.images.dim() >= 1,
                       "[CallableReward] expected images [B,3,H,W], got none");
    const at::AutoGradMode grad(Differentiable && at::GradMode::is_enabled());
    RewardResult result = as_result(detail::call_reward(f_, input));
    check_reward_result(result, input.images.size(0), kName);
    if constexpr (Differentiable) {
      REWARD_TUNER_CHECK(!at::GradMode::is_enabled() || !input.images.requires_grad() || result.values.requires_grad(),
                         "[CallableReward] differentiable(f) expected values that depend on the images by autograd, "
                         "got values without a graph; "
                         "use black_box(f) for them");
    } else {
      result.values = result.values.detach();  // [B]
    }
    return result;
  }

 private:
  static RewardResult as_result(Tensor values) { return {std::move(values), {}}; }
  static RewardResult as_result(RewardResult result) { return result; }
  F f_;
};
static_assert(RewardPolicy<CallableReward<Tensor (*)(const Tensor&), true>>);

/// A reward whose gradient with respect to the images may be used.
/// Example: `differentiable([](const Tensor& images) { return images.mean({1, 2, 3}); })`.
template <class F>
CallableReward<F, true> differentiable(F f) {
  return CallableReward<F, true>(std::move(f));
}

/// A reward of which only the values are used (policy gradient methods).
template <class F>
CallableReward<F, false> black_box(F f) {
  return CallableReward<F, false>(std::move(f));
}

}  // namespace reward_tuner
