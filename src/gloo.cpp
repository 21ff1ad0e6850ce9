// Definition of ranks/gloo.hpp, which includes c10d and wants Gloo's headers.
#include <reward_tuner/ranks/gloo.ipp>
