// Definitions of signal_table.hpp.
#pragma once
#include <reward_tuner/run/signal_table.hpp>

#include <ATen/ops/einsum.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/student_t.hpp>
#include <reward_tuner/engine/log_prob.hpp>
#include <reward_tuner/run/options_json.hpp>

namespace reward_tuner {

namespace detail {

/// A statistic of B batches, and the same without each of them, double 0-d and [B].
struct Jackknifed {
  Tensor whole, without;

  /// An interval of 95%, by Student's t with B - 1 degrees of freedom.
  Estimate estimate() const {
    const auto batches = static_cast<double>(without.numel());
    const double t = student_t_95(static_cast<int>(batches) - 1);
    const double error = std::sqrt((batches - 1) / batches * (without - without.mean()).square().sum().item<double>());
    const double value = whole.item<double>();
    return {value, value - t * error, value + t * error};
  }
  template <class F>
  friend Jackknifed combined(const Jackknifed& a, const Jackknifed& b, F f) {
    return {f(a.whole, b.whole), f(a.without, b.without)};
  }
};

/// Means of a matrix of products [B,B] of batches' gradients: of different batches, and of each with itself.
struct BatchProducts {
  explicit BatchProducts(const Tensor& products) {
    const auto n = static_cast<double>(products.size(0));
    const Tensor own_of = products.diagonal();                           // [B]
    const Tensor with = products.sum(0) + products.sum(1) - 2 * own_of;  // [B] of each with all others, both ways
    const Tensor sum = products.sum() - own_of.sum();                    // 0-d
    apart = {sum / (n * (n - 1)), (sum - with) / ((n - 1) * (n - 2))};   // 0-d, [B]
    own = {own_of.mean(), (own_of.sum() - own_of) / (n - 1)};            // 0-d, [B]
  }
  Jackknifed apart, own;

  Jackknifed noise(std::int64_t images) const {
    return combined(own, apart,
                    [&](const Tensor& a, const Tensor& b) { return (a - b) * static_cast<double>(images); });
  }
};

/// Products of all gradients with all, double [B,T,B,T].
inline Tensor all_products(const Tensor& gradients) {
  constexpr std::int64_t kColumns = 1 << 16;    // turned into double at a time
  const Tensor rows = gradients.flatten(0, 1);  // [B*T,P]
  Tensor products = at::zeros({rows.size(0), rows.size(0)}, at::kDouble);
  for (std::int64_t begin = 0; begin < rows.size(1); begin += kColumns) {
    const Tensor part = rows.narrow(1, begin, std::min(kColumns, rows.size(1) - begin)).to(at::kDouble);
    products.addmm_(part, part.t());
  }
  const auto batches = gradients.size(0), steps = gradients.size(1);
  return products.view({batches, steps, batches, steps});
}

/// Products of the batches' sums over steps with these weights [T] on either side.
inline BatchProducts weighted(const Tensor& products, const Tensor& left, const Tensor& right) {
  return BatchProducts(at::einsum("btcs,t,s->bc", {products, left, right}));
}

inline Estimate images_until_signal(const Estimate& signal, const Estimate& noise) {
  const auto images = [&](double of) { return of > 0 ? noise.value / of : std::numeric_limits<double>::infinity(); };
  return {images(signal.value), images(signal.high), images(signal.low)};
}

/// Infinite or NaN where the divisor, a squared norm or a product of such, is not seen: its estimate is not above 0.
inline Jackknifed quotient(const Jackknifed& a, const Jackknifed& b) {
  return combined(a, b, [](const Tensor& x, const Tensor& y) { return x / y.clamp_min(0); });
}

/// {value, low, high}; what is not finite is null.
inline nlohmann::json to_json(const Estimate& e) {
  const auto number = [](double x) { return std::isfinite(x) ? nlohmann::json(x) : nlohmann::json(nullptr); };
  return {{"value", number(e.value)}, {"low", number(e.low)}, {"high", number(e.high)}};
}

}  // namespace detail

REWARD_TUNER_INLINE SignalTable signal_table(const StepGradients& gradients) {
  const torch::NoGradGuard no_grad;
  const SamplerSchedule& schedule = gradients.schedule;
  const int T = schedule.num_steps();
  const auto shaped = [&](const Tensor& g) {
    return g.dim() == 3 && g.size(1) == T && g.sizes() == gradients.policy.sizes();
  };
  REWARD_TUNER_CHECK(gradients.policy.defined() && shaped(gradients.policy) &&
                         (!gradients.pathwise.defined() || shaped(gradients.pathwise)),
                     "[SignalMeter] expected gradients [B,", T, ",P] of the policy and as many pathwise ones");
  const std::int64_t batches = gradients.policy.size(0);
  REWARD_TUNER_CHECK(batches >= 3, "[SignalMeter] expected at least 3 batches, got ", batches);
  SignalTable out{.batches = batches,
                  .images = batches * gradients.images,
                  .reward = gradients.reward,
                  .pathwise = gradients.pathwise.defined()};
  const Tensor policy = detail::all_products(gradients.policy);  // [B,T,B,T]
  const Tensor pathwise = out.pathwise ? detail::all_products(gradients.pathwise) : Tensor();
  const Tensor all = at::full({T}, 1.0, at::kDouble);
  const auto alone = [&](int k) {
    Tensor weights = at::zeros({T}, at::kDouble);
    weights[k] = 1;
    return weights;
  };
  std::vector<detail::Jackknifed> noises;
  detail::Jackknifed noise_of_all{at::zeros({}, at::kDouble), at::zeros({batches}, at::kDouble)};
  const auto plus = [](const Tensor& a, const Tensor& b) { return a + b; };
  for (int k = 0; k < T; ++k) {
    noises.push_back(detail::weighted(policy, alone(k), alone(k)).noise(gradients.images));
    noise_of_all = combined(noise_of_all, noises.back(), plus);
  }
  for (int k = 0; k < T; ++k) {
    const StepCoefficients s = schedule.coefficients(k);
    StepSignal& step = out.steps.emplace_back();
    step.step = k;
    step.timestep = schedule.timestep(k);
    step.quietness = s.noise > 0 ? std::abs(s.network) / s.noise : std::numeric_limits<double>::infinity();
    if (out.pathwise) {
      step.pathwise = detail::weighted(pathwise, alone(k), alone(k)).apart.estimate();
      step.pathwise_share =
          quotient(detail::weighted(pathwise, alone(k), all).apart, detail::weighted(pathwise, all, all).apart)
              .estimate();
    }
    if (!(s.noise > 0)) continue;  // no policy gradient
    step.signal = out.pathwise ? step.pathwise : detail::weighted(policy, alone(k), alone(k)).apart.estimate();
    const detail::Jackknifed& noise = noises[static_cast<std::size_t>(k)];
    step.noise = noise.estimate();
    step.noise_share = quotient(noise, noise_of_all).estimate();
    step.images = detail::images_until_signal(step.signal, step.noise);
  }
  for (const StepWeights kind : {StepWeights::kEqual, StepWeights::kNoise, StepWeights::kNoiseSquared})
    for (int skip = 0; skip <= std::min(2, T - 1); ++skip) {
      std::vector<int> trained(static_cast<std::size_t>(T - skip));
      std::iota(trained.begin(), trained.end(), 0);
      trained = stochastic_steps(schedule, trained);
      if (trained.empty()) continue;
      const std::vector<double> factors = step_weights(schedule, trained, kind);
      Tensor weights = at::zeros({T}, at::kDouble);
      for (std::size_t i = 0; i < trained.size(); ++i) weights[trained[i]] = factors[i];
      WeightedSignal& row = out.weightings.emplace_back(WeightedSignal{.weights = kind, .skip_last = skip});
      const detail::BatchProducts products = detail::weighted(policy, weights, weights);
      row.noise = products.noise(gradients.images).estimate();
      if (out.pathwise) {
        const detail::Jackknifed own = detail::weighted(pathwise, weights, weights).apart,
                                 whole = detail::weighted(pathwise, all, all).apart,
                                 both = detail::weighted(pathwise, weights, all).apart;
        row.signal = own.estimate();
        row.cosine = quotient(both, combined(own, whole,
                                             [](const Tensor& a, const Tensor& b) {
                                               return (a.clamp_min(0) * b.clamp_min(0)).sqrt();
                                             }))
                         .estimate();
      } else {
        row.signal = products.apart.estimate();
      }
      row.images = detail::images_until_signal(row.signal, row.noise);
    }
  return out;
}

REWARD_TUNER_INLINE nlohmann::json to_json(const SignalTable& table) {
  nlohmann::json steps = nlohmann::json::array(), weightings = nlohmann::json::array();
  for (const StepSignal& s : table.steps) {
    nlohmann::json step{{"step", s.step}, {"timestep", s.timestep}};
    step["quietness"] = std::isfinite(s.quietness) ? nlohmann::json(s.quietness) : nlohmann::json(nullptr);
    if (table.pathwise) {
      step["pathwise"] = detail::to_json(s.pathwise);
      step["pathwise_share"] = detail::to_json(s.pathwise_share);
    }
    if (std::isfinite(s.quietness)) {
      step["signal"] = detail::to_json(s.signal);
      step["noise"] = detail::to_json(s.noise);
      step["noise_share"] = detail::to_json(s.noise_share);
      step["images"] = detail::to_json(s.images);
    }
    steps.push_back(std::move(step));
  }
  for (const WeightedSignal& w : table.weightings) {
    nlohmann::json row{{"weights", detail::enumerator_name(w.weights)},
                       {"skip_last", w.skip_last},
                       {"signal", detail::to_json(w.signal)},
                       {"noise", detail::to_json(w.noise)},
                       {"images", detail::to_json(w.images)}};
    if (table.pathwise) row["cosine"] = detail::to_json(w.cosine);
    weightings.push_back(std::move(row));
  }
  return {{"batches", table.batches},   {"images", table.images},    {"reward", table.reward},
          {"pathwise", table.pathwise}, {"steps", std::move(steps)}, {"weightings", std::move(weightings)}};
}

}  // namespace reward_tuner
