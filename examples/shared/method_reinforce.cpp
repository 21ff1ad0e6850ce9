// pg and b2-pg: the plain policy gradient.
#include <reward_tuner/objectives/reinforce.hpp>

#include "sampled_method.hpp"

namespace rt_shared {
namespace {

const RegisteredUnit reinforce_unit(MethodUnit::kReinforce,
                                    [](TuneSession& s) { return train_on_log_probs<rt::Reinforce>(s, {}); });

}  // namespace
}  // namespace rt_shared
