// expect: [DenoisingObjective] optional member with another signature, expected: int noisings() const
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
  const Options& options() const { return given; }
  std::vector<double> weights(const std::vector<double>&, const std::vector<std::int64_t>&) const { return {}; }
#ifdef REWARD_TUNER_GOOD_TWIN
  int noisings() const { return 2; }
#else
  double noisings() const { return 1; }
#endif
};

static_assert(detail::ExplainObjective<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(DenoisingObjective<Mine>);
#endif
