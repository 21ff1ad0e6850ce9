// expect: [AdvantagePolicy] missing: a nested type Options with defaults and a constructor from it
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = AdvantageRole;
  static constexpr std::string_view kName = "mine";
#ifdef REWARD_TUNER_GOOD_TWIN
  struct Options {};
  explicit Mine(Options) {}
#endif
  std::vector<double> advantages(const AdvantageInput& input, RewardHistory&) const { return input.rewards; }
};

static_assert(detail::ExplainAdvantage<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(AdvantagePolicy<Mine>);
#endif
