// expect: [SamplerPolicy] optional member with another signature, expected: static Options stochastic(Options)
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = SamplerRole;
  static constexpr std::string_view kName = "mine";
  struct Options {
    int num_steps = 3;
  };
  explicit Mine(Options) {}
  SamplerSchedule schedule(const NoiseSchedule&) const { return {}; }
  double guidance() const { return 1; }
#ifdef REWARD_TUNER_GOOD_TWIN
  static Options stochastic(Options given) { return given; }
#else
  Options stochastic(Options given) const { return given; }
#endif
};

static_assert(detail::ExplainSampler<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(SamplerPolicy<Mine>);
#endif
