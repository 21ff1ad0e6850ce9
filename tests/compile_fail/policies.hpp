// Stand-ins for the types policies mention, so that a missing member is explained without compiling LibTorch.
#pragma once
#include <string_view>

#include <reward_tuner/core/explain.hpp>

namespace reward_tuner {

class Rng {};
struct Condition {};
struct RewardInput {};
struct RewardResult {};

}  // namespace reward_tuner

using namespace reward_tuner;
