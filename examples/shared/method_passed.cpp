// The direct methods whose gradient passes the network's input.
#include <reward_tuner/gradient_stop/pass_input.hpp>

#include "direct_method.hpp"

namespace rt_shared {

namespace {

const RegisteredUnit passed_unit(MethodUnit::kPassed, train_direct<rt::PassInput>);

}  // namespace
}  // namespace rt_shared
