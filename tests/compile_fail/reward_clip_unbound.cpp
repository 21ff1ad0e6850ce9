// expect: [RewardPolicy] optional members with another signature, expected: bool needs_clip() const and void
// bind_clip(std::shared_ptr<const ClipModel>)
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = RewardRole;
  static constexpr std::string_view kName = "mine";
  static constexpr bool kDifferentiable = true, kPerGroup = false;
  RewardResult score(const RewardInput&) const { return {}; }
  bool needs_clip() const { return true; }
#ifdef REWARD_TUNER_GOOD_TWIN
  void bind_clip(std::shared_ptr<const ClipModel>) {}
#else
  void bind_clip(ClipModel&) {}
#endif
};

static_assert(detail::ExplainReward<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(RewardPolicy<Mine>);
#endif
