// expect: [DenoisingObjective] missing: const Options& options() const, with RoundOptions round in its Options
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = ObjectiveRole;
  static constexpr std::string_view kName = "mine";
  struct Options {
    RoundOptions round = {};
  };
  explicit Mine(Options) {}
  static constexpr Surrogate kSurrogate = Surrogate::kDenoising;
  Options given = {};
  std::vector<double> weights(const std::vector<double>&, const std::vector<std::int64_t>&) const { return {}; }
#ifdef REWARD_TUNER_GOOD_TWIN
  const Options& options() const { return given; }
#endif
};

static_assert(detail::ExplainObjective<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(DenoisingObjective<Mine>);
#endif
