// expect: [ExplorationPolicy] missing: a nested type Options with defaults and a constructor from it
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = ExplorationRole;
  static constexpr std::string_view kName = "mine";
#ifdef REWARD_TUNER_GOOD_TWIN
  struct Options {};
  explicit Mine(Options) {}
#endif
  Condition condition(const Condition& given, Rng&) const { return given; }
  double guidance(double scale, int, int) const { return scale; }
};

static_assert(detail::ExplainExploration<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(ExplorationPolicy<Mine>);
#endif
