// expect: [LogProbObjective] missing: const Options& options() const, with RoundOptions round in its Options
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = ObjectiveRole;
  static constexpr std::string_view kName = "mine";
  struct Options {
    RoundOptions round = {};
  };
  explicit Mine(Options) {}
  static constexpr Surrogate kSurrogate = Surrogate::kLogProb;
  Options given = {};
#ifdef REWARD_TUNER_GOOD_TWIN
  const Options& options() const { return given; }
#else
  Options options() const { return given; }  // a round would keep a reference into a value that is gone
#endif
  Tensor losses(const PolicyRows&) const { return {}; }
};

static_assert(detail::ExplainObjective<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(LogProbObjective<Mine>);
#endif
