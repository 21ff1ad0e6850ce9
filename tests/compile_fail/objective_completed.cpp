// expect: [LogProbObjective] optional member with another signature, expected:
// static Options completed(Options, const ObjectiveContext&)
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
  static Options completed(Options options, const ObjectiveContext&) { return options; }
#else
  Options completed(Options options) const { return options; }
#endif
};

static_assert(detail::ExplainObjective<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(LogProbObjective<Mine>);
#endif
