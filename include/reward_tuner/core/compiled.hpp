// Where the ordinary functions of the library are defined: in every unit that includes their headers, or once in the
// library RewardTuner::compiled, whose users see REWARD_TUNER_COMPILED. The definitions of name.hpp stand in name.ipp.
#pragma once

#ifdef REWARD_TUNER_COMPILED
#define REWARD_TUNER_INLINE
#else
#define REWARD_TUNER_INLINE inline
#endif
