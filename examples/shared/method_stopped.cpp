// The direct methods whose gradient stops at the network's input.
#include <reward_tuner/gradient_stop/stop_input.hpp>

#include "direct_method.hpp"

namespace rt_shared {

namespace {

const RegisteredUnit stopped_unit(MethodUnit::kStopped, train_direct<rt::StopInput>);

}  // namespace
}  // namespace rt_shared
