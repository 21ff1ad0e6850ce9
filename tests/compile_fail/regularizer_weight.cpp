// expect: [RegularizerPolicy] missing: double weight() const
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = RegularizerRole;
  static constexpr std::string_view kName = "mine";
  struct Options {};
  explicit Mine(Options) {}
  static constexpr bool kNeedsReference = false;
#ifdef REWARD_TUNER_GOOD_TWIN
  double weight() const { return 0.0; }
#endif
};

static_assert(detail::ExplainRegularizer<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(RegularizerPolicy<Mine>);
#endif
