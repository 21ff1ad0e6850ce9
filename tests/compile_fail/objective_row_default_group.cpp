// expect: [LogProbObjective] optional member with another signature, expected: int default_group() const
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
  int default_group() const { return 8; }
#else
  static constexpr int default_group = 8;
#endif
};

static_assert(detail::ExplainObjective<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(LogProbObjective<Mine>);
#endif
