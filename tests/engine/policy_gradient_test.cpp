// Gradients of objectives on log-probabilities: equal to plain autograd over the published formulas and to finite
// differences, in double.
#include <doctest/doctest.h>

#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/max.h>
#include <torch/autograd.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/engine/policy_gradient.hpp>
#include <reward_tuner/objectives/clipped_ratio.hpp>
#include <reward_tuner/objectives/kl_regularized.hpp>
#include <reward_tuner/objectives/preference.hpp>
#include <reward_tuner/objectives/reinforce.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/ddpm.hpp>

#include <tests/reference/plain_sampler.hpp>
#include <tests/reference/tensor_lists.hpp>
#include <tests/reference/toy_pipeline.hpp>
#include <tests/reference/unrolled.hpp>

namespace policy_gradient_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

/// What one case varies.
struct Setting {
  PlainSampler sampler;
  std::vector<double> guidance;  // [T]
  LogProbReduction reduction = LogProbReduction::kMean;
};

SamplerSchedule schedule_of(const PlainSampler& s, const NoiseSchedule& noise) {
  if (s.ddpm)
    return Ddpm({.num_steps = s.num_steps,
                 .variance = s.fixed_large ? DdpmVariance::kFixedLarge : DdpmVariance::kFixedSmall,
                 .clipping = s.clipping})
        .schedule(noise);
  return Ddim({.num_steps = s.num_steps, .eta = s.eta, .clipping = s.clipping, .use_clipped_output = s.rederive})
      .schedule(noise);
}

/// Sampled with one set of weights, to be trained with another.
struct Sampled {
  ToyPipeline pipeline;
  Transitions transitions;
  std::vector<PolicyRow> rows;
};

Sampled sampled(const Setting& s, double drift) {
  ToyPipeline pipeline({.schedule = {.prediction = s.sampler.prediction}});
  pipeline.disturb(8, 0.05);
  NetworkCounts counts;
  StepPlan plan{.last = s.sampler.num_steps - 1, .jumps = false, .trained = {}};
  for (int k = 0; k < s.sampler.num_steps; k += k == 0 ? 1 : 2) plan.trained.push_back(k);
  const RolloutSetup setup{schedule_of(s.sampler, pipeline.noise_schedule()), plan,
                           pipeline.encode({"a star", "two moons", "a ring", "a box"}), s.guidance};
  Transitions t = sample_transitions(pipeline, setup, SampleNoise({1, 2, 3, 4}), {.reduction = s.reduction}, counts);
  pipeline.disturb(9, drift);  // the weights that are trained differ from those that sampled
  Sampled out{std::move(pipeline), std::move(t), {}};
  const double advantages[] = {1.3, -0.7, 0.2, -2.1};
  for (const int k : out.transitions.steps())
    for (std::int64_t i = 0; i < 4; ++i) out.rows.push_back({i, k, advantages[i], 1 + 0.25 * k});
  return out;
}

/// One row's log-density from the papers' formulas, with the network's graph.
struct PlainRow {
  Tensor log_prob, guided, raw_u, raw_c;
};
PlainRow plain_row(ToyPipeline& pipeline, const Setting& s, const Transitions& t, std::int64_t sample, int k) {
  const auto level = plain_levels(s.sampler)[static_cast<std::size_t>(k)];
  const Tensor x = t.latent(k).narrow(0, sample, 1), next = t.latent(k + 1).narrow(0, sample, 1);
  const auto [u, c] = plain_outputs(pipeline, x, level.timestep, t.setup.condition.narrow(sample, 1),
                                    s.guidance[static_cast<std::size_t>(k)]);
  const Tensor h = u + s.guidance[static_cast<std::size_t>(k)] * (c - u);
  const double noise = plain_noise(s.sampler, level);
  const Tensor z = (next - plain_mean(s.sampler, level, x, h)) / noise;
  const double constant = std::log(noise) + 0.5 * std::log(2 * M_PI);
  const Tensor density = -0.5 * z * z - constant;
  return {s.reduction == LogProbReduction::kMean ? density.mean() : density.sum(), h, u, c};
}

std::vector<Tensor> gradients_of(ToyPipeline& pipeline) {
  std::vector<Tensor> out;
  for (Tensor& p : pipeline.parameters()) {
    out.push_back(p.grad().defined() ? p.grad().clone() : at::zeros_like(p));
    p.mutable_grad().reset();
  }
  return out;
}

const std::vector<Setting>& settings() {
  static const std::vector<Setting> all = [] {
    std::vector<Setting> list;
    const CleanClipping range{.kind = CleanClipping::Kind::kRange, .range = 0.8};
    for (PlainSampler sampler :
         {PlainSampler{.eta = 0.5, .num_steps = 5}, PlainSampler{.eta = 1.0, .num_steps = 5},
          PlainSampler{.ddpm = true, .num_steps = 5}, PlainSampler{.ddpm = true, .fixed_large = true, .num_steps = 5},
          PlainSampler{.eta = 1.0, .num_steps = 5, .prediction = PredictionType::kVPrediction},
          PlainSampler{.eta = 0.7, .num_steps = 5, .clipping = range},
          PlainSampler{.eta = 0.7, .num_steps = 5, .clipping = range, .rederive = true},
          PlainSampler{.ddpm = true, .num_steps = 5, .clipping = range}})
      for (const auto& guidance :
           {std::vector<double>(5, 1.0), std::vector<double>(5, 4.0), std::vector<double>{1.0, 4.0, 4.0, 0.0, 2.5}})
        list.push_back({sampler, guidance, list.size() % 2 == 0 ? LogProbReduction::kMean : LogProbReduction::kSum});
    return list;
  }();
  return all;
}

/// Compares policy_backward with `plain_loss(log_prob, old, advantage, row)` summed over the rows.
template <class Objective>
double worst_distance(const Objective& make_objective, double drift,
                      const std::function<Tensor(const Tensor&, double, double, const PlainRow&, Sampled&,
                                                 const Setting&, const PolicyRow&)>& plain_loss) {
  double worst = 0;
  for (const Setting& setting : settings()) {
    Sampled s = sampled(setting, drift);
    const auto objective = make_objective(setting);
    NetworkCounts counts;
    const auto result = policy_backward(s.pipeline, s.transitions, s.rows, objective, {.share = 0.5}, counts).read();
    const auto mine = gradients_of(s.pipeline);
    Tensor loss = at::zeros({}, at::kDouble);
    for (const PolicyRow& row : s.rows) {
      const PlainRow plain = plain_row(s.pipeline, setting, s.transitions, row.sample, row.step);
      loss = loss + 0.5 * row.weight *
                        plain_loss(plain.log_prob, s.transitions.log_prob(row.step)[row.sample].template item<double>(),
                                   row.advantage, plain, s, setting, row);
    }
    torch::autograd::backward({loss}, {});
    const auto truth = gradients_of(s.pipeline);
    CHECK(result.loss == doctest::Approx(loss.item<double>()).epsilon(1e-9));
    worst = std::max(worst, distance(mine, truth));
  }
  return worst;
}

RoundOptions round_of(const Setting& s) { return {.reduction = s.reduction}; }

}  // namespace
}  // namespace policy_gradient_test

TEST_CASE("stored log-probabilities are those of the papers' formulas") {
  using namespace policy_gradient_test;
  for (const Setting& setting : settings()) {
    Sampled s = sampled(setting, 0);
    for (const PolicyRow& row : s.rows)
      CHECK(s.transitions.log_prob(row.step)[row.sample].item<double>() ==
            doctest::Approx(plain_row(s.pipeline, setting, s.transitions, row.sample, row.step).log_prob.item<double>())
                .epsilon(1e-9));
  }
}

TEST_CASE("the policy gradient equals autograd over -A*ratio and over -A*log p") {
  using namespace policy_gradient_test;
  CHECK(worst_distance([](const Setting& s) { return Reinforce({.round = round_of(s)}); }, 1e-4,
                       [](const Tensor& lp, double old, double a, auto&&...) { return -a * (lp - old).exp(); }) <
        1e-10);
  CHECK(worst_distance([](const Setting& s) { return Reinforce({.importance_weighted = false, .round = round_of(s)}); },
                       1e-3, [](const Tensor& lp, double, double a, auto&&...) { return -a * lp; }) < 1e-10);
}

TEST_CASE("the clipped surrogate equals autograd over max(-A*ratio, -A*clamp(ratio))") {
  using namespace policy_gradient_test;
  for (const double clip : {1e-5, 1e-3, 1e3})
    CHECK(worst_distance([clip](const Setting& s) { return ClippedRatio({.clip = clip, .round = round_of(s)}); }, 1e-4,
                         [clip](const Tensor& lp, double old, double a, auto&&...) {
                           const Tensor ratio = (lp - old).exp();
                           return at::max(-a * ratio, -a * ratio.clamp(1 - clip, 1 + clip));
                         }) < 1e-10);
}

TEST_CASE("DPOK's loss equals autograd with the guided outputs' distance from the untuned network") {
  using namespace policy_gradient_test;
  for (const bool pessimistic : {false, true})
    CHECK(worst_distance(
              [&](const Setting& s) {
                return KlRegularized({.reward_weight = 3,
                                      .kl_weight = 0.7,
                                      .clip = 1e-2,
                                      .pessimistic = pessimistic,
                                      .round = round_of(s)});
              },
              1e-4,
              [&](const Tensor& lp, double old, double a, const PlainRow& plain, Sampled& s, const Setting& setting,
                  const PolicyRow& row) {
                Tensor reference;
                {
                  const auto scope = s.pipeline.reference_scope();
                  reference = plain_row(s.pipeline, setting, s.transitions, row.sample, row.step).guided.detach();
                }
                const Tensor ratio = (lp - old).exp(), clipped = -a * ratio.clamp(1 - 1e-2, 1 + 1e-2);
                return 3 * (pessimistic ? at::max(-a * ratio, clipped) : clipped) +
                       0.7 * (plain.guided - reference).square().mean();
              }) < 1e-10);
}

TEST_CASE("preferences equal autograd over -log sigmoid of the two gains, against either reference") {
  using namespace policy_gradient_test;
  for (const auto reference : {PreferenceReference::kSampling, PreferenceReference::kUntuned}) {
    double worst = 0;
    for (const Setting& setting : settings()) {
      Sampled s = sampled(setting, 1e-3);
      std::vector<PolicyRow> better, worse;
      for (const PolicyRow& row : s.rows) (row.sample < 2 ? better : worse).push_back(row);
      std::vector<PolicyRow> rows = better;
      rows.insert(rows.end(), worse.begin(), worse.end());
      NetworkCounts counts;
      const Preference objective({.beta = 0.8, .reference = reference, .round = round_of(setting)});
      const auto result = policy_backward(s.pipeline, s.transitions, rows, objective, {.share = 0.25}, counts).read();
      const auto mine = gradients_of(s.pipeline);
      Tensor loss = at::zeros({}, at::kDouble);
      const auto gain = [&](const PolicyRow& row) {
        double against = s.transitions.log_prob(row.step)[row.sample].item<double>();
        if (reference == PreferenceReference::kUntuned) {
          const auto scope = s.pipeline.reference_scope();
          against = plain_row(s.pipeline, setting, s.transitions, row.sample, row.step).log_prob.item<double>();
        }
        return plain_row(s.pipeline, setting, s.transitions, row.sample, row.step).log_prob - against;
      };
      for (std::size_t i = 0; i < better.size(); ++i)
        loss = loss - 0.25 * better[i].weight * at::log_sigmoid(0.8 * (gain(better[i]) - gain(worse[i])));
      torch::autograd::backward({loss}, {});
      worst = std::max(worst, distance(mine, gradients_of(s.pipeline)));
      CHECK(result.loss == doctest::Approx(loss.item<double>()).epsilon(1e-9));
    }
    CHECK(worst < 1e-10);
  }
}

TEST_CASE("the regularizer is a mean over rows and elements, half of a guided row for each of its calls") {
  using namespace policy_gradient_test;
  double worst = 0;
  for (const Setting& setting : settings()) {
    Sampled s = sampled(setting, 1e-2);
    NetworkCounts counts;
    const double share = 1.0 / static_cast<double>(s.rows.size());
    const auto result =
        policy_backward(s.pipeline, s.transitions, s.rows,
                        Reinforce({.importance_weighted = false, .round = round_of(setting)}),
                        {.share = share, .reference_weight = reference_weight(KlToReference({.weight = 1.7}))}, counts)
            .read();
    const auto mine = gradients_of(s.pipeline);
    Tensor loss = at::zeros({}, at::kDouble);
    double regularizer = 0;
    for (const PolicyRow& row : s.rows) {
      const PlainRow now = plain_row(s.pipeline, setting, s.transitions, row.sample, row.step);
      PlainRow base;
      {
        const auto scope = s.pipeline.reference_scope();
        base = plain_row(s.pipeline, setting, s.transitions, row.sample, row.step);
      }
      const Tensor own =
          0.5 * ((now.raw_u - base.raw_u.detach()).square().mean() + (now.raw_c - base.raw_c.detach()).square().mean());
      regularizer += share * 1.7 * own.item<double>();
      loss = loss + share * (row.weight * -row.advantage * now.log_prob + 1.7 * own);
    }
    torch::autograd::backward({loss}, {});
    worst = std::max(worst, distance(mine, gradients_of(s.pipeline)));
    CHECK(result.regularizer == doctest::Approx(regularizer).epsilon(1e-9));
  }
  CHECK(worst < 1e-10);
}

TEST_CASE("gradients equal central finite differences of the objective on stored transitions") {
  using namespace policy_gradient_test;
  const auto check = [](auto objective_of, double drift) {
    for (const std::size_t which : {std::size_t{2}, std::size_t{8}, std::size_t{20}}) {
      const Setting& setting = settings()[which];
      Sampled s = sampled(setting, drift);
      const auto objective = objective_of(setting);
      NetworkCounts counts;
      policy_backward(s.pipeline, s.transitions, s.rows, objective, {}, counts);
      const auto gradients = gradients_of(s.pipeline);
      Rng rng(4);
      for (int direction = 0; direction < 3; ++direction) {
        std::vector<Tensor> d;
        double slope = 0;
        for (std::size_t i = 0; i < gradients.size(); ++i) {
          d.push_back(rng.normal(gradients[i].sizes(), gradients[i].options()));
          slope += (d[i] * gradients[i]).sum().item<double>();
        }
        const auto value = [&](double step) {
          const auto move = [&](double by) {
            const torch::NoGradGuard no_grad;
            for (std::size_t i = 0; i < d.size(); ++i) s.pipeline.parameters()[i].add_(d[i], by);
          };
          move(step);
          const double out = policy_backward(s.pipeline, s.transitions, s.rows, objective, {}, counts).read().loss;
          gradients_of(s.pipeline);
          move(-step);
          return out;
        };
        const double h = 1e-6, measured = (value(h) - value(-h)) / (2 * h);
        CHECK(measured == doctest::Approx(slope).epsilon(2e-6));
      }
    }
  };
  check([](const Setting& s) { return Reinforce({.round = round_of(s)}); }, 1e-4);
  check([](const Setting& s) { return ClippedRatio({.clip = 10, .round = round_of(s)}); }, 1e-4);
  check([](const Setting& s) { return KlRegularized({.kl_weight = 5, .clip = 10, .round = round_of(s)}); }, 1e-3);
  check(
      [](const Setting& s) {
        return Preference({.beta = 0.5, .reference = PreferenceReference::kUntuned, .round = round_of(s)});
      },
      1e-3);
}

TEST_CASE("rows of one sample, in any order and cut, add up to the same gradient") {
  using namespace policy_gradient_test;
  const Setting& setting = settings()[8];
  Sampled s = sampled(setting, 1e-4);
  NetworkCounts counts;
  const ClippedRatio objective({.clip = 1e-2, .round = round_of(setting)});
  policy_backward(s.pipeline, s.transitions, s.rows, objective, {}, counts);
  const auto whole = gradients_of(s.pipeline);
  std::reverse(s.rows.begin(), s.rows.end());
  for (std::size_t begin = 0; begin < s.rows.size(); begin += 5)
    policy_backward(s.pipeline, s.transitions,
                    {s.rows.begin() + static_cast<std::ptrdiff_t>(begin),
                     s.rows.begin() + static_cast<std::ptrdiff_t>(std::min(begin + 5, s.rows.size()))},
                    objective, {}, counts);
  CHECK(distance(gradients_of(s.pipeline), whole) < 1e-12);
}

TEST_CASE("each step's ratios, shares of clipped rows, changes and cotangent are those of the formula") {
  using namespace policy_gradient_test;
  const Setting& setting = settings()[8];
  Sampled s = sampled(setting, 1e-4);
  s.rows.erase(s.rows.begin() + 5);  // steps of different numbers of rows
  NetworkCounts counts;
  const double clip = 1e-4;
  const ClippedRatio objective({.clip = clip, .round = round_of(setting)});
  const PolicyRowsResult result =
      policy_backward(s.pipeline, s.transitions, s.rows, objective, {.share = 0.5}, counts).read();
  std::map<int, PolicyRowSums> truth;
  double largest = 0, largest_change = 0;
  for (const PolicyRow& row : s.rows) {
    const PlainRow plain = plain_row(s.pipeline, setting, s.transitions, row.sample, row.step);
    const double change = (plain.log_prob - s.transitions.log_prob(row.step)[row.sample]).item<double>();
    const Tensor ratio = (plain.log_prob - s.transitions.log_prob(row.step)[row.sample]).exp();
    const Tensor loss =
        0.5 * row.weight * at::max(-row.advantage * ratio, -row.advantage * ratio.clamp(1 - clip, 1 + clip));
    const Tensor cotangent = torch::autograd::grad({loss}, {plain.guided})[0];
    const double off = ratio.item<double>() - 1;
    truth[row.step].add({.rows = 1,
                         .ratio = off,
                         .squared_ratio = off * off,
                         .clipped_low = off < -clip ? 1.0 : 0.0,
                         .clipped_high = off > clip ? 1.0 : 0.0,
                         .absolute_change = std::abs(change),
                         .squared_change = 0.5 * change * change,
                         .squared_cotangent = cotangent.square().sum().item<double>()});
    largest = std::max(largest, std::abs(off));
    largest_change = std::max(largest_change, std::abs(change));
  }
  REQUIRE(result.steps.size() == truth.size());
  CHECK(result.ratio_deviation == doctest::Approx(largest).epsilon(1e-8));
  CHECK(result.largest_change == doctest::Approx(largest_change).epsilon(1e-8));
  double low = 0, high = 0;
  for (const auto& [k, sums] : truth) {
    const PolicyRowSums& mine = result.steps.at(k);
    CHECK(mine.rows == sums.rows);
    CHECK(mine.clipped_low == sums.clipped_low);
    CHECK(mine.clipped_high == sums.clipped_high);
    CHECK(mine.ratio == doctest::Approx(sums.ratio).epsilon(1e-7));
    CHECK(mine.squared_ratio == doctest::Approx(sums.squared_ratio).epsilon(1e-7));
    CHECK(mine.absolute_change == doctest::Approx(sums.absolute_change).epsilon(1e-7));
    CHECK(mine.squared_change == doctest::Approx(sums.squared_change).epsilon(1e-7));
    CHECK(mine.squared_cotangent == doctest::Approx(sums.squared_cotangent).epsilon(1e-7));
    low += sums.clipped_low;
    high += sums.clipped_high;
  }
  CHECK(low > 0);
  CHECK(high > 0);
  CHECK(low + high < static_cast<double>(s.rows.size()));
  CHECK(result.all().rows == static_cast<std::int64_t>(s.rows.size()));
}
