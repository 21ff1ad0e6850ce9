// expect: [ExplorationPolicy] optional member with another signature, expected: bool active(const PlanContext&) const
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = ExplorationRole;
  static constexpr std::string_view kName = "mine";
  struct Options {};
  explicit Mine(Options) {}
  Condition condition(const Condition& given, Rng&) const { return given; }
  double guidance(double scale, int, int) const { return scale; }
#ifdef REWARD_TUNER_GOOD_TWIN
  bool active(const PlanContext&) const { return true; }
#else
  bool active() const { return true; }
#endif
};

static_assert(detail::ExplainExploration<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(ExplorationPolicy<Mine>);
#endif
