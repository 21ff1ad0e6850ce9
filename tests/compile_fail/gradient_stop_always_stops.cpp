// expect: [GradientStopPolicy] missing: static constexpr bool kAlwaysStops
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = GradientStopRole;
  static constexpr std::string_view kName = "mine";
  struct Options {};
  explicit Mine(Options) {}
  double input_gain(int) const { return 0.5; }
#ifdef REWARD_TUNER_GOOD_TWIN
  static constexpr bool kAlwaysStops = false;
#endif
};

static_assert(detail::ExplainGradientStop<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(GradientStopPolicy<Mine>);
#endif
