// Definitions of ema.hpp.
#pragma once
#include <reward_tuner/optim/ema.hpp>

#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/scalar_tensor.h>

#include <algorithm>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE Ema::Ema(std::vector<Tensor> tracked, EmaOptions options)
    : tracked_(std::move(tracked)), options_(options) {
  REWARD_TUNER_CHECK(options_.decay >= 0 && options_.decay < 1, "[Ema] decay must be in [0, 1), got ", options_.decay);
  REWARD_TUNER_CHECK(!tracked_.empty(), "[Ema] expected at least one tensor, got none");
  for (const Tensor& value : tracked_) {
    REWARD_TUNER_CHECK(value.defined() && value.is_floating_point(),
                       "[Ema] expected floating-point tensors, got another kind");
    averages_.push_back(value.detach().to(average_type(value), /*non_blocking=*/false, /*copy=*/true));
  }
}

REWARD_TUNER_INLINE void Ema::update() {
  REWARD_TUNER_CHECK(!swapped_, "[Ema] update() inside a swap_in() scope would average the average with itself");
  const torch::NoGradGuard no_grad;
  ++updates_;
  const double decay = decay_at(updates_);
  // one kernel takes one kind
  std::map<std::pair<at::ScalarType, c10::DeviceIndex>, std::pair<std::vector<Tensor>, std::vector<Tensor>>> groups;
  for (std::size_t i = 0; i < tracked_.size(); ++i) {
    auto& [averages, values] = groups[{averages_[i].scalar_type(), averages_[i].device().index()}];
    averages.push_back(averages_[i]);
    values.push_back(tracked_[i].detach().to(averages_[i].scalar_type()));
  }
  for (auto& [kind, group] : groups) at::_foreach_lerp_(group.first, group.second, 1.0 - decay);
}

REWARD_TUNER_INLINE double Ema::decay_at(std::int64_t t) const {
  const auto count = static_cast<double>(t);
  return options_.warm_up ? std::min(options_.decay, (1 + count) / (10 + count)) : options_.decay;
}

REWARD_TUNER_INLINE Ema::Scope::~Scope() { ema_.swapped_ = false; }

REWARD_TUNER_INLINE Ema& Ema::Scope::not_swapped(Ema& ema) {
  REWARD_TUNER_CHECK(!ema.swapped_, "[Ema] the averages are swapped in already; scopes do not nest");
  return ema;
}

REWARD_TUNER_INLINE Ema::Scope::Scope(Ema& ema) : ema_(not_swapped(ema)), values_(ema.tracked_, ema.averages_) {
  ema.swapped_ = true;
}

REWARD_TUNER_INLINE std::map<std::string, Tensor> Ema::state() const {
  std::map<std::string, Tensor> state{{"updates", at::scalar_tensor(updates_, at::kLong)}};
  for (std::size_t i = 0; i < averages_.size(); ++i) state[std::to_string(i) + ".average"] = averages_[i];
  return state;
}

REWARD_TUNER_INLINE void Ema::load_state(const std::map<std::string, Tensor>& state) {
  auto mine = this->state();
  REWARD_TUNER_CHECK(state.size() == mine.size(), "[Ema] state expected ", mine.size(), " tensors, got ", state.size());
  for (const auto& [name, tensor] : mine) {
    const auto found = state.find(name);
    REWARD_TUNER_CHECK(found != state.end(), "[Ema] state lacks the tensor ", name);
    REWARD_TUNER_CHECK(found->second.sizes() == tensor.sizes() && found->second.scalar_type() == tensor.scalar_type(),
                       "[Ema] state tensor ", name, " expected ", tensor.sizes(), " ",
                       c10::toString(tensor.scalar_type()), ", got ", found->second.sizes(), " ",
                       c10::toString(found->second.scalar_type()));
  }
  const auto updates = state.at("updates").item<std::int64_t>();
  REWARD_TUNER_CHECK(updates >= 0, "[Ema] state has a negative count of updates: ", updates);
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : mine) tensor.copy_(state.at(name));
  updates_ = updates;
}

REWARD_TUNER_INLINE at::ScalarType Ema::average_type(const Tensor& value) {
  return value.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace reward_tuner
