// expect: [BranchingPolicy] missing: static constexpr std::string_view kName
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = BranchingRole;
#ifdef REWARD_TUNER_GOOD_TWIN
  static constexpr std::string_view kName = "mine";
#endif
  struct Options {};
  explicit Mine(Options) {}
  int branches() const { return 1; }
  std::vector<BranchChoice> choose(const std::vector<double>&) const { return {}; }
};

static_assert(detail::ExplainBranching<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(BranchingPolicy<Mine>);
#endif
