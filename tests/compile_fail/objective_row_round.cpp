// expect: [LogProbObjective] missing: const Options& options() const, with RoundOptions round in its Options
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = ObjectiveRole;
  static constexpr std::string_view kName = "mine";
  struct Options {
#ifdef REWARD_TUNER_GOOD_TWIN
    RoundOptions round = {};
#endif
  };
  explicit Mine(Options) {}
  static constexpr Surrogate kSurrogate = Surrogate::kLogProb;
  Options given = {};
  const Options& options() const { return given; }
  Tensor losses(const PolicyRows&) const { return {}; }
};

static_assert(detail::ExplainObjective<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(LogProbObjective<Mine>);
#endif
