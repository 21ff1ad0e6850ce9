// A meter of a method's gradient before it trains: what each sampler step contributes of signal and of noise.
#pragma once
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/engine/adjoint.hpp>
#include <reward_tuner/engine/clean_samples.hpp>
#include <reward_tuner/engine/configured_pipeline.hpp>
#include <reward_tuner/engine/log_prob.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/engine/reward_gradient.hpp>
#include <reward_tuner/engine/reward_values.hpp>
#include <reward_tuner/engine/rollout.hpp>
#include <reward_tuner/engine/row_call.hpp>
#include <reward_tuner/engine/sample_noise.hpp>
#include <reward_tuner/engine/trained_rows.hpp>
#include <reward_tuner/run/signal_table.hpp>
#include <reward_tuner/tensor/device.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// How much is sampled for a measurement.
struct SignalMeterOptions {
  int batches = 32;               ///< independent ones, >= 3: intervals are made of their differences
  int prompts = 4;                ///< of a batch, drawn from all, >= 1
  int samples_per_prompt = 4;     ///< images of each, >= 2: an image is compared with the others of its prompt
  std::int64_t decode_batch = 0;  ///< images decoded at a time; 0: all of a batch
  std::uint64_t seed = 0;         ///< of prompts and noise
  std::function<void(int done)> on_batch = {};  ///< called after every batch
};
REWARD_TUNER_FIELDS(SignalMeterOptions, batches, prompts, samples_per_prompt, decode_batch, seed, on_batch);

inline void check_options(const SignalMeterOptions& o) {
  REWARD_TUNER_CHECK(o.batches >= 3, "[SignalMeter] batches must be >= 3, got ", o.batches);
  REWARD_TUNER_CHECK(o.prompts >= 1, "[SignalMeter] prompts must be >= 1, got ", o.prompts);
  REWARD_TUNER_CHECK(o.samples_per_prompt >= 2, "[SignalMeter] samples_per_prompt must be >= 2, got ",
                     o.samples_per_prompt);
  REWARD_TUNER_CHECK(o.decode_batch >= 0, "[SignalMeter] decode_batch must be >= 0 (0: all of a batch), got ",
                     o.decode_batch);
}

namespace detail {

/// What lies in the gradients of some tensors, written to rows and dropped.
class GradientRows {
 public:
  explicit GradientRows(std::vector<Tensor> parameters) : parameters_(std::move(parameters)) {
    for (const Tensor& p : parameters_) numbers_ += p.numel();
  }
  std::int64_t numbers() const { return numbers_; }
  void drop() {
    for (Tensor& p : parameters_) p.mutable_grad().reset();
  }
  /// row [P] of zeros
  void move_to(const Tensor& row) {
    std::int64_t begin = 0;
    for (const Tensor& p : parameters_) {
      if (p.grad().defined()) row.narrow(0, begin, p.numel()).copy_(p.grad().flatten());
      begin += p.numel();
    }
    drop();
  }

 private:
  std::vector<Tensor> parameters_;
  std::int64_t numbers_ = 0;
};

/// What an image's reward is above the mean of the others of its prompt, `each` in a row: a baseline that knows nothing
/// of the image leaves the gradient's mean as it is.
inline std::vector<double> leave_one_out(const std::vector<double>& rewards, int each) {
  std::vector<double> out;
  for (std::size_t begin = 0; begin < rewards.size(); begin += static_cast<std::size_t>(each)) {
    const auto first = rewards.begin() + static_cast<std::ptrdiff_t>(begin);
    const double sum = std::accumulate(first, first + each, 0.0);
    for (int i = 0; i < each; ++i) out.push_back(first[i] - (sum - first[i]) / (each - 1));
  }
  return out;
}

/// Row k of `rows` [T,P]: the mean over the images of advantage * d log p(step k) / dparameters, at steps with noise.
template <DiffusionPipeline Pipeline>
void policy_rows(Pipeline& pipeline, const Trajectory& t, const std::vector<double>& advantages,
                 GradientRows& gradients, const Tensor& rows) {
  const torch::AutoGradMode grad(true);
  const SamplerSchedule& schedule = t.setup.schedule;
  const auto n = static_cast<std::size_t>(t.setup.size());
  NetworkCounts counts;
  for (int k = 0; k < schedule.num_steps(); ++k) {
    if (!(schedule.step(k).noise > 0)) continue;
    const RowCall call = row_call(pipeline, step_rows(t.setup, k, t.latent(k)), counts);
    const Tensor guided = call.guided.detach().requires_grad_();  // [n,C,h,w] leaf
    const Tensor next = k + 1 < schedule.num_steps() ? t.latent(k + 1) : t.clean;
    const Tensor log_probs = transition_log_probs(schedule, std::vector<int>(n, k), t.latent(k), guided, next,
                                                  LogProbReduction::kSum);                            // [n]
    const Tensor mean = (beside(log_probs, at::tensor(advantages, at::kDouble)) * log_probs).mean();  // 0-d
    rows_backward(call, torch::autograd::grad({mean}, {guided})[0], {}, counts);
    gradients.move_to(rows[k]);
  }
}

/// Row k of `rows` [T,P]: the gradient of the images' mean reward through step k alone, all Jacobians between it and
/// the image included. `gradient` [n,C,h,w] is that by the clean samples.
template <DiffusionPipeline Pipeline>
void pathwise_rows(Pipeline& pipeline, const Trajectory& t, const Tensor& gradient, GradientRows& gradients,
                   const Tensor& rows) {
  NetworkCounts counts;
  SweepResult ignored;
  Tensor adjoint = gradient;
  for (int k = t.setup.plan.last; k >= 0; --k) {
    auto [next, output] = step_vjp(t, k, adjoint, {});  // [n,C,h,w] each
    const Tensor through = run_jobs(pipeline, t, {{k, output, /*with_input=*/k > 0}}, {}, counts, ignored);
    gradients.move_to(rows[k]);
    adjoint = through.defined() ? next + through : next;  // a network may not read its input
  }
}

}  // namespace detail

/// Samples batches of images, trains nothing, and measures for each batch and sampler step
///   policy(k)   = mean_i A_i * d log p(latent_i(k+1) | latent_i(k)) / dtheta, log p summed over a latent's numbers,
///                 A_i the reward less the mean of the other images of the prompt,
///   pathwise(k) = d mean_i r_i / dtheta with theta trained in step k alone, if the reward is differentiable.
/// Both have the same mean (by parts: Stein's identity), so signal_table() compares noise with signal. A reward that
/// needs a CLIP is bound before (with_clip). Drops the gradients of `parameters`, which are what would be trained.
/// Cost: of a batch a rollout and T forwards and backwards, twice with a differentiable reward; 4 to 8 bytes of memory
/// for each of batches * T * numbers in parameters, twice with a differentiable reward.
/// Errors: options out of range, fewer prompts than a batch has, a reward that scores groups or has no score for an
/// image or is not finite, a sampler of second order, a trained text encoder, a network in float16.
/// Example: const auto table = signal_table(step_gradients(pipeline, Ddim({.num_steps = 10, .eta = 1.0}), reward,
///                                                          lora.parameters(), prompts));
template <DiffusionPipeline Pipeline, SamplerPolicy Sampler, RewardPolicy Reward>
StepGradients step_gradients(Pipeline& pipeline, const Sampler& sampler, const Reward& reward,
                             const std::vector<Tensor>& parameters, const std::vector<std::string>& prompts,
                             const SignalMeterOptions& o = {}) {
  check_options(o);
  REWARD_TUNER_CHECK(static_cast<std::size_t>(o.prompts) <= prompts.size(),
                     "[SignalMeter] prompts of a batch expected 1 to ", prompts.size(), ", all there are, got ",
                     o.prompts);
  REWARD_TUNER_CHECK(!per_group(reward), "[SignalMeter] expected a reward of each image alone, got ",
                     reward_name(reward), ", which scores groups");
  REWARD_TUNER_CHECK(!trains_condition(pipeline),
                     "[SignalMeter] expected a text encoder that is not trained: its gradient is not measured");
  REWARD_TUNER_CHECK(network_dtype(pipeline) != at::kHalf,
                     "[SignalMeter] expected a network in float32 or bfloat16, got float16, whose gradients vanish");
  const torch::NoGradGuard no_grad;
  StepGradients out{.schedule = sampler.schedule(pipeline.noise_schedule()),
                    .images = std::int64_t{o.prompts} * o.samples_per_prompt};
  const int T = out.schedule.num_steps();
  for (int k = 0; k < T; ++k)
    REWARD_TUNER_CHECK(!out.schedule.has_history(k),
                       "[SignalMeter] expected a sampler of order 1, got a step of order 2: ", k);
  StepPlan plan = sampling_plan(T);
  plan.trained.resize(static_cast<std::size_t>(T));
  std::iota(plan.trained.begin(), plan.trained.end(), 0);
  detail::GradientRows gradients(parameters);
  gradients.drop();
  REWARD_TUNER_CHECK(gradients.numbers() > 0, "[SignalMeter] expected parameters that are trained, got none");
  const auto like = at::TensorOptions().dtype(parameters[0].scalar_type());
  out.policy = at::zeros({o.batches, T, gradients.numbers()}, like);
  if (has_gradient(reward)) out.pathwise = at::zeros_like(out.policy);
  for (int batch = 0; batch < o.batches; ++batch) {
    Rng rng = Rng::derive(o.seed, static_cast<std::uint64_t>(batch));
    const Tensor order = rng.permutation(static_cast<std::int64_t>(prompts.size()));
    std::vector<std::string> chosen;
    for (int i = 0; i < o.prompts; ++i)
      chosen.insert(chosen.end(), static_cast<std::size_t>(o.samples_per_prompt),
                    prompts[static_cast<std::size_t>(order[i].template item<std::int64_t>())]);
    SampleNoise noise = SampleNoise::draw(out.images, rng);
    const std::vector<std::uint64_t> seeds = noise.seeds();
    NetworkCounts counts;
    const Trajectory t = rollout(
        pipeline, sampling_setup(out.schedule, pipeline.encode(chosen), sampler.guidance()).with(plan), noise, counts);
    const CleanSamples samples{t.clean, chosen, seeds};
    const RewardValues rewards = reward_values(pipeline, reward, samples, o.decode_batch);
    REWARD_TUNER_CHECK(rewards.count_failed() == 0 && rewards.finite(),
                       "[SignalMeter] expected a score of every image "
                       "that is a finite number, got others from ",
                       reward_name(reward));
    out.reward += std::accumulate(rewards.values.begin(), rewards.values.end(), 0.0) /
                  static_cast<double>(out.images * o.batches);
    detail::policy_rows(pipeline, t, detail::leave_one_out(rewards.values, o.samples_per_prompt), gradients,
                        out.policy[batch]);
    if (out.pathwise.defined()) {
      const RewardGradient by_clean =
          reward_gradient(pipeline, reward, samples, [](const Tensor& values) { return values; }, o.decode_batch);
      REWARD_TUNER_CHECK(by_clean.gradient.defined(), "[SignalMeter] ", by_clean.skip_reason);
      detail::pathwise_rows(pipeline, t, by_clean.gradient / static_cast<double>(out.images), gradients,
                            out.pathwise[batch]);
    }
    if (o.on_batch) o.on_batch(batch + 1);
  }
  return out;
}

}  // namespace reward_tuner
