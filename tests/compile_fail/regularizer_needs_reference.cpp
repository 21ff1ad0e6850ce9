// expect: [RegularizerPolicy] missing: static constexpr bool kNeedsReference
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = RegularizerRole;
  static constexpr std::string_view kName = "mine";
  struct Options {};
  explicit Mine(Options) {}
#ifdef REWARD_TUNER_GOOD_TWIN
  static constexpr bool kNeedsReference = false;
#endif
  double weight() const { return 0.0; }
};

static_assert(detail::ExplainRegularizer<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(RegularizerPolicy<Mine>);
#endif
