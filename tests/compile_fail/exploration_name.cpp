// expect: [ExplorationPolicy] missing: static constexpr std::string_view kName
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = ExplorationRole;
#ifdef REWARD_TUNER_GOOD_TWIN
  static constexpr std::string_view kName = "mine";
#endif
  struct Options {};
  explicit Mine(Options) {}
  Condition condition(const Condition& given, Rng&) const { return given; }
  double guidance(double scale, int, int) const { return scale; }
};

static_assert(detail::ExplainExploration<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(ExplorationPolicy<Mine>);
#endif
