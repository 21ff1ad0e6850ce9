// The policy concepts: the page to read before writing a policy of your own. docs/policies.md tells each in prose.
#pragma once
#include <reward_tuner/core/require.hpp>

namespace reward_tuner {

/// Scores finished images.
///  1. `static constexpr std::string_view kName` names it in reports.
///  2. `RewardResult score(const RewardInput&) const`: [B] values, higher is better.
///  3. `kDifferentiable`: gradient flows from the values to the images. `kPerGroup`: values depend on the whole
///     group.
template <class P>
concept RewardPolicy = require::role<P, RewardRole> && require::name<P> && require::score<P> &&
                       require::differentiable_trait<P> && require::per_group_trait<P>;

/// Turns a model's noise levels into a table of steps.
///  1. `SamplerSchedule schedule(const NoiseSchedule&) const`: its rows answer `coefficients(k)` and `timestep(k)`.
///  2. `double guidance() const`: the classifier-free guidance scale of ordinary rollouts; 1 means the condition alone.
///  3. Its Options have `int num_steps`, the T that step selections are checked against.
template <class P>
concept SamplerPolicy = require::role<P, SamplerRole> && require::name<P> && require::options<P> &&
                        require::num_steps<P> && require::schedule<P> && require::guidance_scale<P>;

/// How much of the adjoint enters the network's input at step k.
///  1. `double input_gain(int k) const` in [0, 1]: 0 stops the gradient, 1 passes all of it.
///  2. `kAlwaysStops`: input_gain is 0 for every k, so cotangents are known in closed form.
template <class P>
concept GradientStopPolicy = require::role<P, GradientStopRole> && require::name<P> && require::options<P> &&
                             require::input_gain<P> && require::always_stops_trait<P>;

/// Chooses the trained steps of an update.
///  1. `StepPlan plan(const PlanContext&, Rng&) const`: shared by the whole batch, so that every sample costs the same.
///  2. `void check(int num_steps) const`: throws a named error if the options do not fit T steps.
template <class P>
concept StepSelectionPolicy = require::role<P, StepSelectionRole> && require::name<P> && require::options<P> &&
                              require::plan<P> && require::check<P>;

/// Changes condition or guidance in training rollouts only, never in evaluation.
///  1. `Condition condition(const Condition&, Rng&) const`.
///  2. `double guidance(double scale, int k, int num_steps) const`: the scale at step k.
/// A policy that is active for a part of the training only also has `bool active(const PlanContext&) const`; while that
/// is false neither of the two is called.
template <class P>
concept ExplorationPolicy = require::role<P, ExplorationRole> && require::name<P> && require::options<P> &&
                            require::explore_condition<P> && require::explore_guidance<P>;

/// A sampler whose steps have a density: `kStochastic` is true if its options can give every trained step noise.
template <class P>
concept StochasticSampler = SamplerPolicy<P> && require::stochastic_trait<P> && requires { requires P::kStochastic; };

/// Turns rewards into the cotangent of each trained step.
///  1. `static constexpr Surrogate kSurrogate`: what is differentiated. DirectGradient is the reward itself.
///  2. Surrogate::kReward: `Tensor losses(const Tensor& rewards) const`, [B] -> [B].
///  3. Surrogate::kLogProb: `Tensor losses(const PolicyRows&) const` (objectives/policy_rows.hpp), and `RoundOptions
///     round` in its options.
///  4. Surrogate::kDenoising: `std::vector<double> weights(rewards, groups) const`, and `RoundOptions round` in its
///     options.
template <class P>
concept ObjectivePolicy =
    require::role<P, ObjectiveRole> && require::name<P> && require::options<P> && require::surrogate_trait<P>;

/// Turns the rewards of a round into advantages: how much better than expected each image is.
///  1. `std::vector<double> advantages(const AdvantageInput&, RewardHistory&) const`: one an image, finite for finite
///     rewards; 0 where there is nothing to compare with. What it wants to remember it writes into the history, which
///     the tuner keeps and checkpoints.
template <class P>
concept AdvantagePolicy =
    require::role<P, AdvantageRole> && require::name<P> && require::options<P> && require::advantages<P>;

/// Forks every rollout where its first trained step begins, and chooses which branches are trained.
///  1. `int branches() const`: copies at the fork, >= 1; 1 does not fork.
///  2. `std::vector<BranchChoice> choose(const std::vector<double>& advantages) const`: of the branches of one root;
///     may be empty.
template <class P>
concept BranchingPolicy = require::role<P, BranchingRole> && require::name<P> && require::options<P> &&
                          require::branches<P> && require::choose<P>;

/// An extra loss at the trained steps.
///  1. `kNeedsReference`: the step's output is compared with the reference network's output.
///  2. `double weight() const`: its factor beside the reward, >= 0.
template <class P>
concept RegularizerPolicy = require::role<P, RegularizerRole> && require::name<P> && require::options<P> &&
                            require::needs_reference_trait<P> && require::regularizer_weight<P>;

}  // namespace reward_tuner
