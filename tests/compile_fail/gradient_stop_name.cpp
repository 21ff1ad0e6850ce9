// expect: [GradientStopPolicy] missing: static constexpr std::string_view kName
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = GradientStopRole;
#ifdef REWARD_TUNER_GOOD_TWIN
  static constexpr std::string_view kName = "mine";
#endif
  struct Options {};
  explicit Mine(Options) {}
  double input_gain(int) const { return 0.5; }
  static constexpr bool kAlwaysStops = false;
};

static_assert(detail::ExplainGradientStop<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(GradientStopPolicy<Mine>);
#endif
