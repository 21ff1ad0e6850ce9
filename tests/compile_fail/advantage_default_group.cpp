// expect: [AdvantagePolicy] optional member with another signature, expected: static constexpr int kDefaultGroup
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = AdvantageRole;
  static constexpr std::string_view kName = "mine";
  struct Options {};
  explicit Mine(Options) {}
  std::vector<double> advantages(const AdvantageInput&, RewardHistory&) const { return {}; }
#ifdef REWARD_TUNER_GOOD_TWIN
  static constexpr int kDefaultGroup = 8;
#else
  static constexpr double kDefaultGroup = 8;
#endif
};

static_assert(detail::ExplainAdvantage<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(AdvantagePolicy<Mine>);
#endif
