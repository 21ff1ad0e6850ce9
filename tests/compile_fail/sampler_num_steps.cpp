// expect: [SamplerPolicy] missing: int num_steps in its Options
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = SamplerRole;
  static constexpr std::string_view kName = "mine";
  struct Options {
#ifdef REWARD_TUNER_GOOD_TWIN
    int num_steps = 3;
#endif
  };
  explicit Mine(Options) {}
  SamplerSchedule schedule(const NoiseSchedule&) const { return {}; }
  double guidance() const { return 1.0; }
};

static_assert(detail::ExplainSampler<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(SamplerPolicy<Mine>);
#endif
