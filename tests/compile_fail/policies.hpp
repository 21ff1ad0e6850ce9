// Stand-ins for the types policies mention, so that a missing member is explained without compiling LibTorch.
#pragma once
#include <memory>
#include <string_view>

#include <reward_tuner/core/explain.hpp>

namespace at {

class Tensor {};

}  // namespace at

namespace reward_tuner {

using at::Tensor;

class ClipModel {};
class Rng {};
struct Condition {};
struct PolicyRows {};
struct RewardInput {};
struct RewardResult {};
struct ValueBaselineOptions {};

}  // namespace reward_tuner

using namespace reward_tuner;
