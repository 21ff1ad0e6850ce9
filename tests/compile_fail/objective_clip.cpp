// expect: [LogProbObjective] optional member with another signature, expected: double clip() const
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
  const Options& options() const { return given; }
  Tensor losses(const PolicyRows&) const { return {}; }
#ifdef REWARD_TUNER_GOOD_TWIN
  double clip() const { return 1e-4; }
#else
  double clip() { return 1e-4; }
#endif
};

static_assert(detail::ExplainObjective<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(LogProbObjective<Mine>);
#endif
