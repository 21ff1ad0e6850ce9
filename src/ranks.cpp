// Definitions of ranks/.
#include <reward_tuner/ranks/gradient_sum.ipp>
#include <reward_tuner/ranks/launch.ipp>
#include <reward_tuner/ranks/parcel.ipp>
#include <reward_tuner/ranks/ranks.ipp>
#include <reward_tuner/ranks/sharded_optimizer.ipp>
