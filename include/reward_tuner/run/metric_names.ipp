// Definitions of metric_names.hpp.
#pragma once
#include <reward_tuner/run/metric_names.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE MetricNames::MetricNames(const std::vector<EvaluationReward>& rewards) {
  for (const auto& reward : rewards) {
    if (reward.components_only) continue;
    REWARD_TUNER_CHECK(!reward.name.empty(), "[Evaluation] expected a name for the reward ", reward.reward.name(),
                       ", or components_only, got an empty one");
    REWARD_TUNER_CHECK(taken_.insert(reward.name).second, "[Evaluation] expected rewards of different names, got two '",
                       reward.name, "', the second of which is ", reward.reward.name());
  }
}

REWARD_TUNER_INLINE const std::string& MetricNames::of(const EvaluationReward& reward, const std::string& component) {
  std::string& name = given_[{&reward, component}];
  if (!name.empty()) return name;
  // the mean of a yes or no is a share
  const std::string own = component == "blank" ? "blank_share" : component;
  const std::string longer = (reward.name.empty() ? std::string(reward.reward.name()) : reward.name) + "." + own;
  name = taken_.insert(own).second ? own : longer;
  REWARD_TUNER_CHECK(name == own || taken_.insert(longer).second, "[Evaluation] expected a name for the component ",
                     own, " of the reward ", reward.reward.name(), " that no other number has, got '", longer,
                     "': give the reward another name");
  return name;
}

}  // namespace reward_tuner
