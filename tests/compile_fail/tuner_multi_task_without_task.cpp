// expect: [MultiTask] needs at least one task
#include <reward_tuner/tuner/multi_task.hpp>

#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Tuner = MultiTask<Task<DRTune<Reward>, GivenPrompts>>;
#else
using Tuner = MultiTask<>;
#endif

std::size_t size() { return sizeof(Tuner); }
