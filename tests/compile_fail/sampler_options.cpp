// expect: [SamplerPolicy] missing: a nested type Options with defaults and a constructor from it
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = SamplerRole;
  static constexpr std::string_view kName = "mine";
#ifdef REWARD_TUNER_GOOD_TWIN
  struct Options {
    int num_steps = 3;
  };
  explicit Mine(Options) {}
#endif
  SamplerSchedule schedule(const NoiseSchedule&) const { return {}; }
  double guidance() const { return 1.0; }
};

static_assert(detail::ExplainSampler<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(SamplerPolicy<Mine>);
#endif
