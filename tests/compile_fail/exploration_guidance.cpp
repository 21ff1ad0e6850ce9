// expect: [ExplorationPolicy] missing: double guidance(double scale, int k, int num_steps) const
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = ExplorationRole;
  static constexpr std::string_view kName = "mine";
  struct Options {};
  explicit Mine(Options) {}
  Condition condition(const Condition& given, Rng&) const { return given; }
#ifdef REWARD_TUNER_GOOD_TWIN
  double guidance(double scale, int, int) const { return scale; }
#endif
};

static_assert(detail::ExplainExploration<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(ExplorationPolicy<Mine>);
#endif
