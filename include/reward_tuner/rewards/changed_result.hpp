// The result of a reward that changes the values of another, at once or when the other's answer comes later.
#pragma once
#include <torch/types.h>

#include <future>
#include <string>
#include <string_view>
#include <utility>

#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner::detail {

/// Whether results of this kind of reward carry a graph now.
template <class Reward>
bool with_graph() {
  return Reward::kDifferentiable && at::GradMode::is_enabled();
}

/// The reward's checked result after `change`, with the reward's own value among the components, under its name unless
/// it reports that name itself.
template <class Reward, class Change>
RewardResult changed_score(const Reward& reward, const RewardInput& input, const Change& change) {
  const at::AutoGradMode grad(with_graph<Reward>());
  RewardResult result = checked_score(reward, input, reward_name(reward));
  result.components.emplace(reward_name(reward), result.values.detach());
  change(result);
  return result;
}

/// The same of what the reward answers later, in the gradient mode of now, whatever that of the caller who fetches it.
/// `change` must hold what it needs.
template <class Reward, class Change>
std::future<RewardResult> changed_later(const Reward& reward, const RewardInput& input, Change change) {
  const bool graph = with_graph<Reward>();
  const at::AutoGradMode grad(graph);
  const std::string_view name = reward_name(reward);
  return std::async(std::launch::deferred, [answer = asked_later(reward, input, name), name = std::string(name),
                                            batch = input.images.size(0), graph, change = std::move(change)]() mutable {
    const at::AutoGradMode same(graph);
    RewardResult result = answer.get();
    check_reward_result(result, batch, name);
    result.components.emplace(name, result.values.detach());
    change(result);
    return result;
  });
}

}  // namespace reward_tuner::detail
