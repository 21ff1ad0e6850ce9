// expect: [GradientStopPolicy] missing: double input_gain(int k) const
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = GradientStopRole;
  static constexpr std::string_view kName = "mine";
  struct Options {};
  explicit Mine(Options) {}
#ifdef REWARD_TUNER_GOOD_TWIN
  double input_gain(int) const { return 0.5; }
#endif
  static constexpr bool kAlwaysStops = false;
};

static_assert(detail::ExplainGradientStop<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(GradientStopPolicy<Mine>);
#endif
