// expect: [RegularizerPolicy] missing: a nested type Options with defaults and a constructor from it
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = RegularizerRole;
  static constexpr std::string_view kName = "mine";
#ifdef REWARD_TUNER_GOOD_TWIN
  struct Options {};
  explicit Mine(Options) {}
#endif
  static constexpr bool kNeedsReference = false;
  double weight() const { return 0.0; }
};

static_assert(detail::ExplainRegularizer<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(RegularizerPolicy<Mine>);
#endif
