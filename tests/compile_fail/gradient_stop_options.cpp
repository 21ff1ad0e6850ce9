// expect: [GradientStopPolicy] missing: a nested type Options with defaults and a constructor from it
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = GradientStopRole;
  static constexpr std::string_view kName = "mine";
#ifdef REWARD_TUNER_GOOD_TWIN
  struct Options {};
  explicit Mine(Options) {}
#endif
  double input_gain(int) const { return 0.5; }
  static constexpr bool kAlwaysStops = false;
};

static_assert(detail::ExplainGradientStop<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(GradientStopPolicy<Mine>);
#endif
