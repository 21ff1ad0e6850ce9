// expect: [BranchingPolicy] missing: int branches() const
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = BranchingRole;
  static constexpr std::string_view kName = "mine";
  struct Options {};
  explicit Mine(Options) {}
#ifdef REWARD_TUNER_GOOD_TWIN
  int branches() const { return 1; }
#endif
  std::vector<BranchChoice> choose(const std::vector<double>&) const { return {}; }
};

static_assert(detail::ExplainBranching<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(BranchingPolicy<Mine>);
#endif
