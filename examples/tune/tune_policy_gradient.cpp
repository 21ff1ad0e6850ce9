// rt-tune tune --method pg and b2-pg: the plain policy gradient.
#include <reward_tuner/methods/policy_gradient.hpp>

#include "sampled_method.hpp"

namespace rt_tune {

TuneResult tune_policy_gradient(TuneSession& s) { return train_on_log_probs<rt::PolicyGradient>(s, {}); }

}  // namespace rt_tune
