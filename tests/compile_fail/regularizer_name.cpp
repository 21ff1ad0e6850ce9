// expect: [RegularizerPolicy] missing: static constexpr std::string_view kName
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = RegularizerRole;
#ifdef REWARD_TUNER_GOOD_TWIN
  static constexpr std::string_view kName = "mine";
#endif
  struct Options {};
  explicit Mine(Options) {}
  static constexpr bool kNeedsReference = false;
  double weight() const { return 0.0; }
};

static_assert(detail::ExplainRegularizer<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(RegularizerPolicy<Mine>);
#endif
