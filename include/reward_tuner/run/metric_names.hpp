// The names under which the rewards of an evaluation report: no two numbers share one.
#pragma once
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/rewards/any_reward.hpp>

namespace reward_tuner {

/// A reward's mean is reported under the name it was given. A component's is reported under its own name, or as
/// "<reward>.<component>" where another number has that name already; rewards come in their order, and the names they
/// were given come first. The same for every batch.
class MetricNames {
 public:
  /// Errors: a reward without a name that is to report more than components, two rewards of one name.
  explicit MetricNames(const std::vector<EvaluationReward>& rewards);

  /// Of a component of `reward`, one of those above. Errors: both of its names are taken.
  const std::string& of(const EvaluationReward& reward, const std::string& component);

 private:
  std::set<std::string> taken_;
  std::map<std::pair<const EvaluationReward*, std::string>, std::string> given_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/metric_names.ipp>
#endif
