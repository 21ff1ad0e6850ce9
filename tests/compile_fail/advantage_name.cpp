// expect: [AdvantagePolicy] missing: static constexpr std::string_view kName
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = AdvantageRole;
#ifdef REWARD_TUNER_GOOD_TWIN
  static constexpr std::string_view kName = "mine";
#endif
  struct Options {};
  explicit Mine(Options) {}
  std::vector<double> advantages(const AdvantageInput& input, RewardHistory&) const { return input.rewards; }
};

static_assert(detail::ExplainAdvantage<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(AdvantagePolicy<Mine>);
#endif
