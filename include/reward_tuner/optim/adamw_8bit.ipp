// Definitions of adamw_8bit.hpp.
#pragma once
#include <reward_tuner/optim/adamw_8bit.hpp>

#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/optim/block_quantization.hpp>
#include <reward_tuner/optim/part_state.hpp>

namespace reward_tuner {

namespace detail {

/// The type that a parameter's step is computed in.
inline at::ScalarType step_type(const Tensor& parameter) {
  return parameter.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace detail

/// Room for the numbers of one pass, for one device and type.
struct AdamW8bit::Workspace {
  static constexpr std::int64_t kNumbers = 1 << 18;  // of a pass, unless a block is larger

  Workspace(const Tensor& parameter, std::int64_t block)
      : numbers(std::max(block, kNumbers / block * block)),
        rows(numbers / block),
        options(parameter.options().dtype(detail::step_type(parameter)).requires_grad(false)),
        with_sign(true, options),
        without_sign(false, options),
        first(at::empty({numbers}, options)),
        second(at::empty({numbers}, options)),
        parameters(at::empty({numbers}, options)),
        gradients(at::empty({numbers}, options)),
        scratch{at::empty({numbers}, options), at::empty({numbers}, options.dtype(at::kInt)),
                at::empty({rows}, options)},
        one(at::ones({}, options)) {}

  bool fits(const Tensor& parameter) const {
    return parameter.device() == options.device() && detail::step_type(parameter) == options.dtype();
  }

  std::int64_t numbers, rows;
  at::TensorOptions options;
  DynamicCode with_sign, without_sign;
  Tensor first, second, parameters, gradients;  // [numbers]
  DynamicCode::Scratch scratch;
  Tensor one;  // in-place sums with a number would allocate it
};

REWARD_TUNER_INLINE AdamW8bit::AdamW8bit(std::vector<Tensor> parameters, AdamW8bitOptions options)
    : parameters_(std::move(parameters)), options_(options), learning_rate_(options.learning_rate) {
  const AdamWOptions exact{options_.learning_rate, options_.beta1, options_.beta2, options_.epsilon,
                           options_.weight_decay};
  check_options(exact, "AdamW8bit");
  REWARD_TUNER_CHECK(options_.block >= 1, "[AdamW8bit] block must be >= 1, got ", options_.block);
  REWARD_TUNER_CHECK(options_.smallest >= 0, "[AdamW8bit] smallest must be >= 0, got ", options_.smallest);
  check_parameters(parameters_, "AdamW8bit");
  std::vector<Tensor> small;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& p = parameters_[i];
    const std::int64_t numbers = p.numel(), blocks = (numbers + options_.block - 1) / options_.block;
    if (numbers < options_.smallest || numbers == 0) {
      small.push_back(p);
      exact_index_.push_back(i);
      continue;
    }
    const auto codes = p.options().dtype(at::kByte).requires_grad(false);
    const auto scales = p.options().dtype(detail::step_type(p)).requires_grad(false);
    constexpr int kZero = 127;  // the code of 0 with a sign; without one it is 0
    rounded_.push_back({i, at::full({numbers}, kZero, codes), at::zeros({blocks}, scales), at::zeros({numbers}, codes),
                        at::zeros({blocks}, scales), at::zeros({}, at::kFloat)});
  }
  if (!small.empty()) exact_.emplace(std::move(small), exact);
}

/// A tensor's part of a step, with all the memory it takes.
struct AdamW8bit::Job {
  Rounded& moments;
  Tensor parameter, numbers, gradients;  // [...], [numbers] contiguous, [numbers] contiguous
  std::size_t room;
};

REWARD_TUNER_INLINE void AdamW8bit::step() {
  const torch::NoGradGuard no_grad;
  std::vector<Workspace> rooms;  // one a device and type
  std::vector<Job> jobs;
  for (Rounded& moments : rounded_) {
    const Tensor& p = parameters_[moments.index];
    if (!p.grad().defined()) continue;
    const auto fitting = std::find_if(rooms.begin(), rooms.end(), [&](const Workspace& w) { return w.fits(p); });
    const auto room = static_cast<std::size_t>(fitting - rooms.begin());
    if (fitting == rooms.end()) rooms.emplace_back(p, options_.block);
    jobs.push_back({moments, p.detach(), p.detach().contiguous().view(-1), p.grad().contiguous().view(-1), room});
  }
  if (exact_) exact_->step();
  for (const Job& job : jobs) step(job, rooms[job.room]);
}

REWARD_TUNER_INLINE void AdamW8bit::step(const Job& job, const Workspace& room) const {
  const AdamW8bitOptions& o = options_;
  Rounded& moments = job.moments;
  float& count = *moments.step.data_ptr<float>();
  ++count;
  const double first_bias = 1 - std::pow(o.beta1, count), root_bias = std::sqrt(1 - std::pow(o.beta2, count));
  const std::int64_t numbers = job.numbers.numel();
  for (std::int64_t begin = 0; begin < numbers;) {
    // whole blocks, then the rest as one short block
    const std::int64_t left = numbers - begin;
    const std::int64_t rows = std::max<std::int64_t>(1, std::min(room.rows, left / o.block));
    const std::int64_t width = std::min(left, o.block), count_here = rows * width, block = begin / o.block;
    const auto part = [&](const Tensor& all) { return all.narrow(0, 0, count_here).view({rows, width}); };
    const auto here = [&](const Tensor& all) { return all.narrow(0, begin, count_here).view({rows, width}); };
    const auto scales = [&](const Tensor& all) { return all.narrow(0, block, rows).view({rows, 1}); };
    const DynamicCode::Scratch scratch{part(room.scratch.numbers), part(room.scratch.codes),
                                       room.scratch.scales.narrow(0, 0, rows).view({rows, 1})};
    Tensor m = part(room.first), v = part(room.second), p = part(room.parameters), g = part(room.gradients);
    Tensor t = scratch.numbers;
    p.copy_(here(job.numbers));                                                           // [rows,width]
    g.copy_(here(job.gradients));                                                         // [rows,width]
    room.with_sign.decode(m, here(moments.first), scales(moments.first_scale), scratch);  // [rows,width]
    room.without_sign.decode(v, here(moments.second), scales(moments.second_scale), scratch);
    at::mul_out(t, g, g);
    v.mul_(v).lerp_(t, 1 - o.beta2).sqrt_();  // [rows,width] from root to root
    m.lerp_(g, 1 - o.beta1);
    if (o.weight_decay > 0) p.add_(p, -learning_rate_ * o.weight_decay);
    // m / bias1 / (v / root_bias + epsilon), both parts of the quotient times root_bias
    at::add_out(t, v, room.one, o.epsilon * root_bias);
    p.addcdiv_(m, t, -learning_rate_ * root_bias / first_bias);
    here(job.numbers).copy_(p);
    room.with_sign.encode(m, here(moments.first), scales(moments.first_scale), scratch);
    room.without_sign.encode(v, here(moments.second), scales(moments.second_scale), scratch);
    begin += count_here;
  }
  if (!job.parameter.is_contiguous()) job.parameter.copy_(job.numbers.view(job.parameter.sizes()));
}

REWARD_TUNER_INLINE void AdamW8bit::zero_grad() {
  for (Tensor& p : parameters_) p.mutable_grad().reset();
}

REWARD_TUNER_INLINE void AdamW8bit::scale_learning_rate(double factor) {
  REWARD_TUNER_CHECK(factor >= 0 && std::isfinite(factor),
                     "[AdamW8bit] a factor on the learning rate must be >= 0, got ", factor);
  learning_rate_ = options_.learning_rate * factor;
  if (exact_) exact_->scale_learning_rate(factor);
}

REWARD_TUNER_INLINE std::map<std::string, Tensor> AdamW8bit::state() const {
  std::map<std::string, Tensor> state;
  for (const Rounded& moments : rounded_) {
    const std::string at = std::to_string(moments.index);
    state[at + ".first"] = moments.first;
    state[at + ".first_scale"] = moments.first_scale;
    state[at + ".second"] = moments.second;
    state[at + ".second_scale"] = moments.second_scale;
    state[at + ".step"] = moments.step;
  }
  if (exact_) state.merge(state_of_whole(exact_->state(), exact_index_));
  return state;
}

REWARD_TUNER_INLINE void AdamW8bit::load_state(const std::map<std::string, Tensor>& state) {
  load_optimizer_state(this->state(), state, "AdamW8bit");
}

}  // namespace reward_tuner
