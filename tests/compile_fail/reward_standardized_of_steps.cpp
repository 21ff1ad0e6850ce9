// expect: [Standardized] takes a reward only
#include <tests/compile_fail/rewards.hpp>

#include <reward_tuner/rewards/standardized.hpp>

#ifdef REWARD_TUNER_GOOD_TWIN
using Part = Reward;
#else
/// Has everything of a reward but the role.
struct Part : Reward {
  using Role = reward_tuner::StepSelectionRole;
};
#endif

inline constexpr auto size = sizeof(reward_tuner::Standardized<Part>);
