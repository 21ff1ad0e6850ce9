// expect: [SamplerPolicy] missing: static constexpr std::string_view kName
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = SamplerRole;
#ifdef REWARD_TUNER_GOOD_TWIN
  static constexpr std::string_view kName = "mine";
#endif
  struct Options {
    int num_steps = 3;
  };
  explicit Mine(Options) {}
  SamplerSchedule schedule(const NoiseSchedule&) const { return {}; }
  double guidance() const { return 1.0; }
};

static_assert(detail::ExplainSampler<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(SamplerPolicy<Mine>);
#endif
