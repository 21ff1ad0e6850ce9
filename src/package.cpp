// Definitions of rewards out of exported packages, which need LibTorch's jit.
#include <reward_tuner/rewards/package.ipp>
