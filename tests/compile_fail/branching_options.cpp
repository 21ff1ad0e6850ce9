// expect: [BranchingPolicy] missing: a nested type Options with defaults and a constructor from it
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = BranchingRole;
  static constexpr std::string_view kName = "mine";
#ifdef REWARD_TUNER_GOOD_TWIN
  struct Options {};
  explicit Mine(Options) {}
#endif
  int branches() const { return 1; }
  std::vector<BranchChoice> choose(const std::vector<double>&) const { return {}; }
};

static_assert(detail::ExplainBranching<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(BranchingPolicy<Mine>);
#endif
