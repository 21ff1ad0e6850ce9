// expect: [ExplorationPolicy] missing: Condition condition(const Condition&, Rng&) const
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = ExplorationRole;
  static constexpr std::string_view kName = "mine";
  struct Options {};
  explicit Mine(Options) {}
#ifdef REWARD_TUNER_GOOD_TWIN
  Condition condition(const Condition& given, Rng&) const { return given; }
#endif
  double guidance(double scale, int, int) const { return scale; }
};

static_assert(detail::ExplainExploration<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(ExplorationPolicy<Mine>);
#endif
