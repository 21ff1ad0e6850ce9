// expect: [AdvantagePolicy] missing: std::vector<double> advantages(const AdvantageInput&, RewardHistory&) const
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = AdvantageRole;
  static constexpr std::string_view kName = "mine";
  struct Options {};
  explicit Mine(Options) {}
#ifdef REWARD_TUNER_GOOD_TWIN
  std::vector<double> advantages(const AdvantageInput& input, RewardHistory&) const { return input.rewards; }
#endif
};

static_assert(detail::ExplainAdvantage<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(AdvantagePolicy<Mine>);
#endif
