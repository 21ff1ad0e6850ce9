// expect: [Preference] needs a BranchingPolicy that keeps a better and a worse branch of a root: BestAndWorst
#include <reward_tuner/methods/dpo.hpp>

#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Tuner = DPO<BlackBox>;
#else
using Tuner = DPO<BlackBox, NoBranching>;
#endif

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
