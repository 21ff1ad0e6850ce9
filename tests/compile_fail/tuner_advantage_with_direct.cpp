// expect: [RewardTuner] an AdvantagePolicy cannot be combined with DirectGradient, which differentiates the
// reward itself
#include <reward_tuner/advantages/per_prompt.hpp>

#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Tuner = DRTune<Reward>;
#else
using Tuner = DRTune<Reward, PerPrompt>;
#endif

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
