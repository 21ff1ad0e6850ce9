// expect: [SamplerPolicy] missing: SamplerSchedule schedule(const NoiseSchedule&) const
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = SamplerRole;
  static constexpr std::string_view kName = "mine";
  struct Options {
    int num_steps = 3;
  };
  explicit Mine(Options) {}
#ifdef REWARD_TUNER_GOOD_TWIN
  SamplerSchedule schedule(const NoiseSchedule&) const { return {}; }
#endif
  double guidance() const { return 1.0; }
};

static_assert(detail::ExplainSampler<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(SamplerPolicy<Mine>);
#endif
