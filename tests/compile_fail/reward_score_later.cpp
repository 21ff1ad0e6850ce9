// expect: expected: std::future<RewardResult> score_later(const RewardInput&) const
#include <future>

#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = RewardRole;
  static constexpr std::string_view kName = "mine";
  static constexpr bool kDifferentiable = false;
  static constexpr bool kPerGroup = false;
#ifdef REWARD_TUNER_GOOD_TWIN
  std::future<RewardResult> score_later(const RewardInput&) const { return {}; }
#else
  RewardResult score_later(const RewardInput&) const { return {}; }
#endif
  RewardResult score(const RewardInput&) const { return {}; }
};

static_assert(detail::ExplainReward<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(RewardPolicy<Mine>);
#endif
