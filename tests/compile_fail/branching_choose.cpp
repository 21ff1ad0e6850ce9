// expect: [BranchingPolicy] missing: std::vector<BranchChoice> choose(const std::vector<double>&) const
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = BranchingRole;
  static constexpr std::string_view kName = "mine";
  struct Options {};
  explicit Mine(Options) {}
  int branches() const { return 1; }
#ifdef REWARD_TUNER_GOOD_TWIN
  std::vector<BranchChoice> choose(const std::vector<double>&) const { return {}; }
#endif
};

static_assert(detail::ExplainBranching<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(BranchingPolicy<Mine>);
#endif
