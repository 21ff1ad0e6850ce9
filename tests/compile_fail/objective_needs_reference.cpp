// expect: [LogProbObjective] optional member with another signature, expected: bool needs_reference() const
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
  bool needs_reference() const { return true; }
#else
  static constexpr bool needs_reference = true;
#endif
};

static_assert(detail::ExplainObjective<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(LogProbObjective<Mine>);
#endif
