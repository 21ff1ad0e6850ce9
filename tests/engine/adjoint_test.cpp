// The adjoint sweep against retained autograd, finite differences and closed forms, in double.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/engine/adjoint.hpp>
#include <reward_tuner/gradient_stop/pass_input.hpp>
#include <reward_tuner/gradient_stop/scale_input.hpp>
#include <reward_tuner/gradient_stop/stop_input.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/regularizers/no_regularizer.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/ddpm.hpp>
#include <reward_tuner/samplers/dpm_solver.hpp>
#include <reward_tuner/samplers/euler.hpp>
#include <reward_tuner/samplers/euler_ancestral.hpp>
#include <reward_tuner/samplers/flow_euler.hpp>

#include <tests/reference/toy_pipeline.hpp>
#include <tests/reference/toy_reward.hpp>
#include <tests/reference/unrolled.hpp>

namespace adjoint_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

const std::vector<std::string> kPrompts = {"a red circle", "two blue squares", "a star"};

NoiseScheduleConfig config_of(const PlainSampler& s) {
  if (s.solver == PlainSolver::kFlow) return {.prediction = s.prediction};
  return {.prediction = s.prediction, .spacing = s.spacing};
}

SamplerSchedule library_schedule(const PlainSampler& s) {
  const NoiseSchedule noise(config_of(s));
  const auto spread = s.karras ? LevelSpacing::kKarras : LevelSpacing::kTimesteps;
  const auto end = s.lowest_final ? FinalLevel::kLowest : FinalLevel::kZero;
  if (s.solver == PlainSolver::kFlow)
    return FlowEuler({.num_steps = s.num_steps, .shift = s.shift, .clipping = s.clipping}).schedule(noise);
  if (s.solver == PlainSolver::kEuler)
    return Euler({.num_steps = s.num_steps, .levels = spread, .final_level = end, .clipping = s.clipping})
        .schedule(noise);
  if (s.solver == PlainSolver::kAncestral)
    return EulerAncestral({.num_steps = s.num_steps, .levels = spread, .clipping = s.clipping}).schedule(noise);
  if (s.solver != PlainSolver::kNone)
    return DpmSolver({.num_steps = s.num_steps,
                      .noise = s.solver == PlainSolver::kSdeDpm,
                      .order = s.order,
                      .type = s.heun ? SolverType::kHeun : SolverType::kMidpoint,
                      .levels = spread,
                      .final_level = end,
                      .clipping = s.clipping})
        .schedule(noise);
  if (s.ddpm)
    return Ddpm({.num_steps = s.num_steps,
                 .variance = s.fixed_large ? DdpmVariance::kFixedLarge : DdpmVariance::kFixedSmall,
                 .clipping = s.clipping})
        .schedule(noise);
  return Ddim({.num_steps = s.num_steps, .eta = s.eta, .clipping = s.clipping, .use_clipped_output = s.rederive})
      .schedule(noise);
}

/// A GradientStopPolicy whose kAlwaysStops is false though it stops: forces the general sweep.
struct SlowStop {
  using Role = GradientStopRole;
  struct Options {};
  static constexpr std::string_view kName = "slow_stop";
  static constexpr bool kAlwaysStops = false;
  explicit SlowStop(Options = {}) {}
  double input_gain(int) const { return 0.0; }
};

struct Swept {
  std::vector<Tensor> gradients;
  Tensor clean;
  NetworkCounts counts;
  SweepResult result;
};

/// How the trained steps are evaluated.
struct Evaluated {
  double share = 1.0;
  int replay_batch = 1;
  bool retain = false;
};

template <class Stop, class Regularizer = NoRegularizer>
Swept sweep(ToyPipeline& pipeline, const UnrolledSetup& setup, const Condition& condition, SampleNoise noise,
            const Stop& stop, const Regularizer& regularizer = Regularizer(), Evaluated how = {}) {
  Swept out;
  const auto schedule = library_schedule(setup.sampler);
  RetainedCalls retained{[&](int k) { return enters_input(stop, setup.plan, k); }};
  RetainedCalls* const kept = how.retain ? &retained : nullptr;
  const auto trajectory = rollout(pipeline, sampling_setup(schedule, condition, setup.guidance).with(setup.plan), noise,
                                  out.counts, {.retained = kept});
  out.clean = trajectory.clean;
  const Tensor clean = trajectory.clean.detach().requires_grad_();
  const Tensor loss = -setup.scale * how.share *
                      ToyReward().score({.images = pipeline.decode(clean), .prompts = condition.prompts}).values.mean();
  const Tensor gradient = torch::autograd::grad({loss}, {clean})[0];
  for (Tensor& p : pipeline.parameters()) p.mutable_grad() = at::zeros_like(p);
  out.result = adjoint_sweep(pipeline, trajectory, gradient, stop, out.counts,
                             {.replay_batch = how.replay_batch,
                              .retained = kept,
                              .reference_weight = how.share * reference_weight(regularizer)});
  for (Tensor& p : pipeline.parameters()) {
    out.gradients.push_back(p.grad().clone());
    p.mutable_grad().reset();
  }
  return out;
}

LatentReward latent_reward(ToyPipeline& pipeline) {
  return [&pipeline](const Tensor& clean) {
    return ToyReward().score({.images = pipeline.decode(clean), .prompts = kPrompts}).values;
  };
}

/// |a - b| / |b| over all tensors together; |a| if b is zero (a sample prediction forgets all steps before an untrained
/// jump).
double relative_error(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += (a[i] - b[i]).square().sum().item<double>();
    size += b[i].square().sum().item<double>();
  }
  return std::sqrt(size > 0 ? difference / size : difference);
}

double sweep_error(ToyPipeline& pipeline, const UnrolledSetup& setup, std::uint64_t seed) {
  const Condition condition = pipeline.encode(kPrompts);
  Rng for_sweep(seed), for_unrolled(seed);
  const auto truth =
      unrolled_update(pipeline, setup, condition, SampleNoise::draw(3, for_unrolled), latent_reward(pipeline));
  const auto swept = setup.stop_input ? sweep(pipeline, setup, condition, SampleNoise::draw(3, for_sweep), StopInput())
                                      : sweep(pipeline, setup, condition, SampleNoise::draw(3, for_sweep), PassInput());
  CHECK(relative_error({swept.clean}, {truth.clean}) < 1e-10);
  return relative_error(swept.gradients, truth.gradients);
}

std::string describe(const UnrolledSetup& s) {
  std::ostringstream out;
  out << (s.sampler.ddpm ? "ddpm" : "ddim") << " large " << s.sampler.fixed_large << " eta " << s.sampler.eta
      << " solver " << static_cast<int>(s.sampler.solver) << " order " << s.sampler.order << " heun " << s.sampler.heun
      << " karras " << s.sampler.karras << " lowest " << s.sampler.lowest_final << " T " << s.sampler.num_steps
      << " prediction " << static_cast<int>(s.sampler.prediction) << " spacing " << static_cast<int>(s.sampler.spacing)
      << " clipping " << static_cast<int>(s.sampler.clipping.kind) << " rederive " << s.sampler.rederive << " stop "
      << s.stop_input << " w " << s.guidance << ' ' << s.plan;
  return out.str();
}

std::vector<int> all_steps(int first, int last) {
  std::vector<int> out;
  for (int k = first; k <= last; ++k) out.push_back(k);
  return out;
}

/// Plans and stops of every direct method for T steps.
std::vector<std::pair<StepPlan, bool>> methods(int T) {
  return {
      {{.last = T - 1, .jumps = false, .trained = {T / 3, T - 1}}, true},            // DRTune to the end
      {{.last = T - 2, .jumps = true, .trained = {0, T / 2}}, true},                 // DRTune, the stop untrained
      {{.last = T - 2, .jumps = true, .trained = {0, T / 2, T - 2}}, true},          // DRTune, the stop trained
      {{.last = T - 1, .jumps = false, .trained = all_steps(T - 2, T - 1)}, false},  // DRaFT-2
      {{.last = T - 1, .jumps = false, .trained = all_steps(0, T - 1)}, false},      // DRaFT-T
      {{.last = T - 1, .jumps = false, .trained = {1, T - 3, T - 1}}, false},        // AlignProp drawn per step
      // the same with the gradient stopped; RandomSteps
      {{.last = T - 1, .jumps = false, .trained = {1, T - 3, T - 1}}, true},
      {{.last = T - 1, .jumps = false, .trained = all_steps(T / 2, T - 1)}, false},  // AlignProp cut once
      {{.last = T - 1, .jumps = false, .trained = all_steps(0, T - 1)}, true},  // AllSteps with the gradient stopped
      {{.last = T - 2, .jumps = true, .trained = {T - 2}}, false},              // ReFL
      {{.last = T - 2, .jumps = true, .trained = {T - 2}}, true},               // ReFL, stopped
      {{.last = T - 2, .jumps = true, .trained = {1, T - 3}}, false},  // a subset with full gradient and an early stop
  };
}

const std::vector<PlainSampler> kSamplers = {
    {.eta = 0.0},
    {.eta = 0.5},
    {.eta = 1.0},
    {.ddpm = true},
    {.ddpm = true, .fixed_large = true},
    {.solver = PlainSolver::kDpm},
    {.solver = PlainSolver::kDpm, .order = 1, .lowest_final = true},
    {.solver = PlainSolver::kDpm, .heun = true, .karras = true},
    {.solver = PlainSolver::kSdeDpm},
    {.solver = PlainSolver::kSdeDpm, .heun = true, .lowest_final = true},
    {.solver = PlainSolver::kEuler},
    {.solver = PlainSolver::kEuler, .karras = true, .lowest_final = true},
    {.solver = PlainSolver::kAncestral},
    {.prediction = PredictionType::kFlow, .solver = PlainSolver::kFlow},
    {.prediction = PredictionType::kFlow, .solver = PlainSolver::kFlow, .shift = 3},
};
const std::vector<PredictionType> kPredictions = {PredictionType::kEpsilon, PredictionType::kVPrediction,
                                                  PredictionType::kSample, PredictionType::kFlow};
const std::vector<TimestepSpacing> kSpacings = {TimestepSpacing::kLeading, TimestepSpacing::kTrailing,
                                                TimestepSpacing::kLinspace};

/// The samplers of a network that predicts this.
std::vector<PlainSampler> samplers_of(PredictionType prediction) {
  std::vector<PlainSampler> out;
  for (PlainSampler sampler : kSamplers) {
    if ((sampler.solver == PlainSolver::kFlow) != (prediction == PredictionType::kFlow)) continue;
    sampler.prediction = prediction;
    out.push_back(sampler);
  }
  return out;
}

/// <gradient, direction> against the fourth-order central difference of `loss` along a random direction.
template <class Loss>
double difference_error(ToyPipeline& pipeline, const std::vector<Tensor>& gradients, double step, Loss loss) {
  const torch::NoGradGuard no_grad;
  Rng rng(99);
  std::vector<Tensor> direction;
  double slope = 0;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    direction.push_back(rng.normal(gradients[i].sizes(), gradients[i].options()));
    slope += (gradients[i] * direction[i]).sum().item<double>();
  }
  double now = 0;
  const auto at = [&](double where) {
    for (std::size_t i = 0; i < direction.size(); ++i) pipeline.parameters()[i].add_(direction[i], where - now);
    now = where;
    return loss();
  };
  const double difference = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
  at(0);
  return slope == 0 ? std::abs(difference) : std::abs(difference - slope) / std::abs(slope);
}

}  // namespace
}  // namespace adjoint_test

TEST_CASE("the sweep equals retained autograd for every sampler, prediction, spacing, method and guidance") {
  using namespace adjoint_test;
  double worst = 0;
  int count = 0, cases = 0;
  for (const auto prediction : kPredictions)
    for (const auto spacing : kSpacings)
      for (PlainSampler sampler : samplers_of(prediction)) {
        sampler.spacing = spacing;
        sampler.num_steps = 5 + count % 3;
        ToyPipeline pipeline({.schedule = config_of(sampler)});
        for (const auto& [plan, stop] : methods(sampler.num_steps)) {
          const UnrolledSetup setup{
              .sampler = sampler, .plan = plan, .stop_input = stop, .guidance = ++count % 2 ? 1.0 : 3.0, .scale = 1.7};
          const double error = sweep_error(pipeline, setup, static_cast<std::uint64_t>(count));
          worst = std::max(worst, error);
          CHECK_MESSAGE(error < 1e-10, describe(setup));
        }
        ++count;  // the next sampler meets the other guidance scale
        cases += static_cast<int>(methods(sampler.num_steps).size());
      }
  MESSAGE("worst relative error over ", cases, " cases: ", worst);
}

TEST_CASE("the sweep equals retained autograd over 20 steps") {
  using namespace adjoint_test;
  double worst = 0;
  for (PlainSampler sampler : kSamplers)
    for (const double guidance : {1.0, 3.0}) {
      sampler.num_steps = 20;
      ToyPipeline pipeline({.schedule = config_of(sampler)});
      for (const auto& [plan, stop] : methods(20)) {
        const UnrolledSetup setup{.sampler = sampler, .plan = plan, .stop_input = stop, .guidance = guidance};
        const double error = sweep_error(pipeline, setup, 5);
        worst = std::max(worst, error);
        CHECK_MESSAGE(error < 1e-10, describe(setup));
      }
    }
  MESSAGE("worst relative error: ", worst);
}

TEST_CASE(
    "retained graphs and replays in batches give the sweep's gradients, with clipping, regularizer and early stop "
    "alike") {
  using namespace adjoint_test;
  double worst = 0;
  int count = 0;
  for (const auto& clipping : {CleanClipping{}, CleanClipping{.kind = CleanClipping::Kind::kRange, .range = 1.0}})
    for (const auto prediction : kPredictions)
      for (PlainSampler sampler : samplers_of(prediction)) {
        sampler.clipping = clipping;
        sampler.num_steps = 6;
        ToyPipeline pipeline({.schedule = config_of(sampler)});
        pipeline.disturb(8, 0.05);
        const Condition condition = pipeline.encode(kPrompts);
        for (const auto& [plan, stop] : methods(6)) {
          const UnrolledSetup setup{
              .sampler = sampler, .plan = plan, .stop_input = stop, .guidance = ++count % 2 ? 1.0 : 3.0};
          const auto run = [&](Evaluated how) {
            const auto noise = [] {
              Rng rng(4);
              return SampleNoise::draw(3, rng);
            };
            return setup.stop_input
                       ? sweep(pipeline, setup, condition, noise(), StopInput(), KlToReference({.weight = 0.3}), how)
                       : sweep(pipeline, setup, condition, noise(), PassInput(), KlToReference({.weight = 0.3}), how);
          };
          const auto plain = run({}), kept = run({.retain = true}), pairs = run({.replay_batch = 2}),
                     all = run({.replay_batch = 100});
          const auto steps = static_cast<std::int64_t>(plan.trained.size());
          CHECK(plain.counts.forwards == plan.last + 1 + 2 * steps);
          CHECK(kept.counts.forwards == plan.last + 1 + steps);  // the reference's alone are made again
          CHECK(kept.counts.backwards == steps);
          for (const auto* other : {&kept, &pairs, &all}) {
            const double error = relative_error(other->gradients, plain.gradients);
            worst = std::max(worst, error);
            CHECK_MESSAGE(error < 1e-12, describe(setup));
            CHECK(other->result.regularizer.item<double>() ==
                  doctest::Approx(plain.result.regularizer.item<double>()).epsilon(1e-12));
            CHECK(other->counts.backwards == steps);
          }
        }
      }
  MESSAGE("worst relative difference: ", worst);
}

TEST_CASE("the sweep equals retained autograd with clipping, in both forms of the noise direction") {
  using namespace adjoint_test;
  double worst = 0;
  using Kind = CleanClipping::Kind;
  for (const CleanClipping clipping : {CleanClipping{.kind = Kind::kRange, .range = 1.0},
                                       CleanClipping{.kind = Kind::kDynamic, .quantile = 0.9, .max = 2.5}})
    for (const bool rederive : {false, true})
      for (const auto prediction : kPredictions)
        for (PlainSampler sampler : samplers_of(prediction)) {
          // all but DDIM always use the noise that belongs to the clipped sample
          if ((sampler.ddpm || sampler.solver != PlainSolver::kNone) && !rederive) continue;
          sampler.clipping = clipping;
          sampler.rederive = rederive;
          sampler.num_steps = 6;
          ToyPipeline pipeline({.schedule = config_of(sampler)});
          for (const auto& [plan, stop] : methods(6)) {
            const UnrolledSetup setup{
                .sampler = sampler, .plan = plan, .stop_input = stop, .guidance = sampler.eta > 0 ? 3.0 : 1.0};
            const double error = sweep_error(pipeline, setup, 11);
            worst = std::max(worst, error);
            CHECK_MESSAGE(error < 1e-10, describe(setup));
          }
        }
  MESSAGE("worst relative error: ", worst);
}

TEST_CASE(
    "the sweep's gradient is the slope: of the frozen-input surrogate under StopInput, of the reward under PassInput") {
  using namespace adjoint_test;
  double worst = 0, least_plain = 1e9;
  for (const auto prediction : kPredictions)
    for (PlainSampler sampler : samplers_of(prediction))
      for (const auto& clipping : {CleanClipping{}, CleanClipping{.kind = CleanClipping::Kind::kRange, .range = 2.0}}) {
        sampler.clipping = clipping;
        sampler.num_steps = 5;
        ToyPipeline pipeline({.schedule = config_of(sampler)});
        const Condition condition = pipeline.encode(kPrompts);
        for (const auto& [plan, stop] : methods(5)) {
          const UnrolledSetup setup{.sampler = sampler, .plan = plan, .stop_input = stop, .guidance = stop ? 3.0 : 1.0};
          const auto noise = [] {
            Rng rng(3);
            return SampleNoise::draw(3, rng);
          };
          const auto recorded = unrolled_update(pipeline, setup, condition, noise(), latent_reward(pipeline));
          const auto swept = stop ? sweep(pipeline, setup, condition, noise(), StopInput())
                                  : sweep(pipeline, setup, condition, noise(), PassInput());
          // small enough to cross no kink of the clipping
          const double step = clipping.kind == CleanClipping::Kind::kNone ? 5e-5 : 1e-6;
          const auto loss = [&] {
            return frozen_loss(pipeline, setup, recorded, condition, noise(), latent_reward(pipeline));
          };
          const double error = difference_error(pipeline, swept.gradients, step, loss);
          worst = std::max(worst, error);
          CHECK_MESSAGE(error < 1e-6, describe(setup));
          // control: the plain reward has another slope
          if (stop && plan.trained.size() == 2 && plan.jumps && prediction != PredictionType::kSample) {
            UnrolledSetup live = setup;
            live.stop_input = false;
            const auto plain = [&] {
              return frozen_loss(pipeline, live, recorded, condition, noise(), latent_reward(pipeline));
            };
            least_plain = std::min(least_plain, difference_error(pipeline, swept.gradients, step, plain));
          }
        }
      }
  MESSAGE("worst relative error: ", worst, "; the smallest with the wrong function: ", least_plain);
  CHECK(least_plain > 1e-4);
}

TEST_CASE("ScaleInput's gradient is that of an input of which a share is a constant; 0 stops and 1 passes") {
  using namespace adjoint_test;
  double worst = 0, worst_ends = 0, least_other = 1e9;
  for (PlainSampler sampler : kSamplers) {
    sampler.num_steps = 6;
    ToyPipeline pipeline({.schedule = config_of(sampler)});
    const Condition condition = pipeline.encode(kPrompts);
    const auto noise = [] {
      Rng rng(3);
      return SampleNoise::draw(3, rng);
    };
    for (const auto& [plan, stop] : methods(6)) {
      UnrolledSetup setup{
          .sampler = sampler, .plan = plan, .stop_input = stop, .input_gain = 0.3, .guidance = stop ? 3.0 : 1.0};
      const auto truth = unrolled_update(pipeline, setup, condition, noise(), latent_reward(pipeline)).gradients;
      for (const bool retain : {false, true}) {
        const auto scaled =
            sweep(pipeline, setup, condition, noise(), ScaleInput({.gain = 0.3}), NoRegularizer(), {.retain = retain});
        worst = std::max(worst, relative_error(scaled.gradients, truth));
      }
      const auto none = sweep(pipeline, setup, condition, noise(), ScaleInput({.gain = 0})).gradients,
                 all = sweep(pipeline, setup, condition, noise(), ScaleInput({.gain = 1})).gradients,
                 stopped = sweep(pipeline, setup, condition, noise(), StopInput()).gradients,
                 passed = sweep(pipeline, setup, condition, noise(), PassInput()).gradients;
      worst_ends = std::max({worst_ends, relative_error(none, stopped), relative_error(all, passed)});
      if (plan.trained.size() > 2)
        least_other = std::min({least_other, relative_error(stopped, truth), relative_error(passed, truth)});
    }
  }
  MESSAGE("worst relative error: ", worst, ", at 0 and 1: ", worst_ends,
          "; the smallest of stop and pass: ", least_other);
  CHECK(worst < 1e-10);
  CHECK(worst_ends < 1e-12);
  CHECK(least_other > 1e-6);
  CHECK_THROWS_WITH_AS(ScaleInput({.gain = 1.5}), "[ScaleInput] gain must be in [0, 1], got 1.5", Error);
  CHECK_THROWS_WITH_AS(ScaleInput({.gain = std::nan("")}), doctest::Contains("gain must be in [0, 1]"), Error);
}

TEST_CASE("DRaFT over all steps is full back-propagation: plain finite differences of the reward") {
  using namespace adjoint_test;
  ToyPipeline pipeline;
  const Condition condition = pipeline.encode(kPrompts);
  const UnrolledSetup setup{.sampler = {.eta = 0.5, .num_steps = 8},
                            .plan = {.last = 7, .jumps = false, .trained = all_steps(0, 7)},
                            .stop_input = false,
                            .guidance = 3.0};
  const auto noise = [] {
    Rng rng(3);
    return SampleNoise::draw(3, rng);
  };
  const auto swept = sweep(pipeline, setup, condition, noise(), PassInput());
  const auto loss = [&] {  // nothing recorded: an ordinary rollout of the library
    NetworkCounts counts;
    auto streams = noise();
    const RolloutSetup sampling = sampling_setup(library_schedule(setup.sampler), condition, 3.0);
    const Tensor clean = rollout(pipeline, sampling, streams, counts).clean;
    return -latent_reward(pipeline)(clean).mean().item<double>();
  };
  const double error = difference_error(pipeline, swept.gradients, 5e-5, loss);
  MESSAGE("relative error: ", error);
  CHECK(error < 1e-6);
}

TEST_CASE("closed-form cotangents equal kappa - sigma, the general sweep, and add up over single steps") {
  using namespace adjoint_test;
  double worst_form = 0, worst_sweep = 0, worst_sum = 0;
  for (PlainSampler sampler : kSamplers)
    for (const bool jumps : {false, true}) {
      if (sampler.solver != PlainSolver::kNone) continue;
      sampler.num_steps = 12;
      const auto schedule = library_schedule(sampler);
      const StepPlan plan{.last = jumps ? 8 : 11, .jumps = jumps, .trained = {1, 4, 8}};
      const auto factor = closed_form_cotangents(schedule, plan);
      const auto levels = plain_levels(sampler);
      for (const int k : plan.trained) {
        const auto& level = levels[static_cast<std::size_t>(k)];
        const double sigma = std::sqrt((1 - level.abar) / level.abar),
                     next = std::sqrt((1 - level.abar_next) / level.abar_next);
        const double u = sampler.eta * next * std::sqrt(sigma * sigma - next * next) / sigma;
        const double kappa = sampler.ddpm ? next * next / sigma : std::sqrt(next * next - u * u);
        const double alpha_end = jumps ? 1.0 : std::sqrt(levels.back().abar_next);
        const double expected = jumps && k == 8 ? -sigma : (kappa - sigma) * alpha_end;
        worst_form = std::max(worst_form, std::abs(factor(k) / expected - 1));
      }
      ToyPipeline pipeline({.schedule = config_of(sampler)});
      const Condition condition = pipeline.encode(kPrompts);
      const auto noise = [] {
        Rng rng(4);
        return SampleNoise::draw(3, rng);
      };
      UnrolledSetup setup{.sampler = sampler, .plan = plan, .guidance = 3.0};
      const auto fast = sweep(pipeline, setup, condition, noise(), StopInput());
      worst_sweep =
          std::max(worst_sweep,
                   relative_error(fast.gradients, sweep(pipeline, setup, condition, noise(), SlowStop()).gradients));
      std::vector<Tensor> sum;
      for (const int k : plan.trained) {
        setup.plan.trained = {k};
        const auto single = sweep(pipeline, setup, condition, noise(), StopInput()).gradients;
        for (std::size_t i = 0; i < single.size(); ++i)
          sum.size() < single.size() ? sum.push_back(single[i]) : (void)(sum[i] = sum[i] + single[i]);
      }
      worst_sum = std::max(worst_sum, relative_error(fast.gradients, sum));
    }
  MESSAGE("kappa - sigma: ", worst_form, ", general sweep: ", worst_sweep, ", sum of single steps: ", worst_sum);
  CHECK(worst_form < 1e-12);
  CHECK(worst_sweep < 1e-12);
  CHECK(worst_sum < 1e-12);
}

TEST_CASE(
    "with history the closed form is the recursion of DPM-Solver++ 2M in y = latent/alpha, and the general sweep") {
  using namespace adjoint_test;
  double worst_form = 0, worst_sweep = 0, farthest = 0;
  for (const bool heun : {false, true})
    for (const bool sde : {false, true})
      for (const bool lowest : {false, true})
        for (const bool jumps : {false, true}) {
          const PlainSampler sampler{.num_steps = 20,
                                     .solver = sde ? PlainSolver::kSdeDpm : PlainSolver::kDpm,
                                     .heun = heun,
                                     .lowest_final = lowest};
          const auto schedule = library_schedule(sampler);
          const int last = jumps ? 14 : 19;
          const StepPlan plan{.last = last, .jumps = jumps, .trained = all_steps(0, last)};
          const auto factor = closed_form_cotangents(schedule, plan);
          const auto levels = plain_levels(sampler);
          const auto level = [&](int k) { return levels[static_cast<std::size_t>(k)]; };
          const auto shrink = [&](int k) { return std::pow(level(k).ratio_next / level(k).ratio, sde ? 2 : 1); };
          const auto m = [&](int k) {  // 0 at steps of order 1
            if (k > last || (jumps && k == last) || !level(k).second) return 0.0;
            const double h = std::log(level(k).ratio / level(k).ratio_next),
                         r0 = std::log(level(k).ratio_before / level(k).ratio) / h, p = 1 - shrink(k);
            return heun ? (1 - p / (sde ? 2 * h : h)) / r0 : p / (2 * r0);
          };
          // dL/dy(k) = rho(k)*dL/dy(T) under a stopped input: a clean sample made of y and an output that is fixed
          std::vector<double> rho(static_cast<std::size_t>(last) + 3, 0.0);
          rho[static_cast<std::size_t>(jumps ? last : last + 1)] = 1;
          const double end = jumps ? 1.0 : std::sqrt(level(last).abar_next);  // dclean/dy(T)
          for (int k = last; k >= 0; --k) {
            const auto at = static_cast<std::size_t>(k);
            const double later = m(k + 1) * (k + 2 <= last + 1 ? rho[at + 2] : 0.0);
            double of_clean = 1;  // dL/dx0(k)
            if (!(jumps && k == last)) {
              of_clean = (1 - shrink(k) + m(k)) * rho[at + 1] - later;
              rho[at] = shrink(k) * rho[at + 1] + of_clean;
            }
            worst_form = std::max(worst_form, std::abs(factor(k) / (-level(k).ratio * of_clean * end) - 1));
            farthest = std::max(farthest, rho[at]);
          }
          ToyPipeline pipeline({.schedule = config_of(sampler)});
          const Condition condition = pipeline.encode(kPrompts);
          const auto noise = [] {
            Rng rng(4);
            return SampleNoise::draw(3, rng);
          };
          const UnrolledSetup setup{.sampler = sampler, .plan = plan, .guidance = 3.0};
          const auto fast = sweep(pipeline, setup, condition, noise(), StopInput()),
                     slow = sweep(pipeline, setup, condition, noise(), SlowStop());
          worst_sweep = std::max(worst_sweep, relative_error(fast.gradients, slow.gradients));
        }
  MESSAGE("recursion: ", worst_form, ", general sweep: ", worst_sweep, ", largest rho: ", farthest);
  CHECK(worst_form < 1e-10);
  CHECK(worst_sweep < 1e-12);
  CHECK(farthest > 1.5);  // order 1 would be 1 throughout
}

TEST_CASE("step weights scale each trained step; elsewhere than under StopInput they are an error") {
  using namespace adjoint_test;
  ToyPipeline pipeline;
  const Condition condition = pipeline.encode(kPrompts);
  const auto noise = [] {
    Rng rng(4);
    return SampleNoise::draw(3, rng);
  };
  const auto gradients = [&](std::vector<int> trained, std::vector<double> weights) {
    const UnrolledSetup setup{
        .sampler = {.num_steps = 6},
        .plan = {.last = 5, .jumps = false, .trained = std::move(trained), .weights = std::move(weights)}};
    return sweep(pipeline, setup, condition, noise(), StopInput()).gradients;
  };
  const auto both = gradients({1, 4}, {2.0, -0.5}), first = gradients({1}, {}), second = gradients({4}, {});
  std::vector<Tensor> expected;
  for (std::size_t i = 0; i < first.size(); ++i) expected.push_back(2.0 * first[i] - 0.5 * second[i]);
  CHECK(relative_error(both, expected) < 1e-12);
  const UnrolledSetup weighted{.sampler = {.num_steps = 6},
                               .plan = {.last = 5, .jumps = false, .trained = {1}, .weights = {2.0}}};
  CHECK_THROWS_WITH_AS(sweep(pipeline, weighted, condition, noise(), PassInput()),
                       doctest::Contains("step weights other than 1 need StopInput"), Error);
}

TEST_CASE("a sweep calls the network n + K times forward and K times backward") {
  using namespace adjoint_test;
  ToyPipeline pipeline;
  const Condition condition = pipeline.encode(kPrompts);
  const UnrolledSetup setup{
      .sampler = {.num_steps = 10}, .plan = {.last = 6, .jumps = true, .trained = {0, 3, 6}}, .guidance = 3.0};
  const auto noise = [] {
    Rng rng(4);
    return SampleNoise::draw(3, rng);
  };
  const auto stopped = sweep(pipeline, setup, condition, noise(), StopInput());
  CHECK(stopped.counts.forwards == 7 + 3);
  CHECK(stopped.counts.backwards == 3);
  CHECK(pipeline.calls == 10);
  CHECK(pipeline.rows == 10 * 6);
  const auto passed = sweep(pipeline, setup, condition, noise(), PassInput());
  CHECK(passed.counts.forwards == 7 + 3);
  CHECK(passed.counts.backwards == 3);
  const auto regularized = sweep(pipeline, setup, condition, noise(), StopInput(), KlToReference());
  CHECK(regularized.counts.forwards == 7 + 3 + 3);
  CHECK(regularized.counts.backwards == 3);
}

TEST_CASE("a pipeline with nothing trainable is a named error") {
  using namespace adjoint_test;
  ToyPipeline pipeline;
  const Condition condition = pipeline.encode(kPrompts);
  for (Tensor& p : pipeline.parameters()) p.requires_grad_(false);
  Rng rng(1);
  const UnrolledSetup setup{.sampler = {.num_steps = 3}, .plan = {.last = 2, .jumps = false, .trained = {1}}};
  CHECK_THROWS_WITH_AS(sweep(pipeline, setup, condition, SampleNoise::draw(3, rng), StopInput()),
                       doctest::Contains("does not depend on anything trainable"), Error);
}
