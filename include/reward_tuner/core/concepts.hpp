// The policy concepts: read this before writing your own policy. docs/policies.md explains them in prose.
//
// Every policy names its role (`using Role = SamplerRole;`) and itself (`static constexpr std::string_view kName`).
// Every policy but a reward has a nested `Options`, an aggregate whose fields all have defaults, and an explicit
// constructor from it, which throws a named error for a value out of range. Policies are values: copied freely, const
// when asked, with their randomness given as `Rng&`. A policy that stands for one chosen at run time may say which by
// `std::string_view name() const`; reports and errors then use it in place of kName.
//
// MUST: without it the type is no such policy. MAY: left out, the default holds (policy_traits.hpp); written with
// another signature it is a compile error, because the library would otherwise ignore it.
#pragma once
#include <reward_tuner/core/policy_traits.hpp>
#include <reward_tuner/core/require.hpp>
#include <reward_tuner/core/roles.hpp>

namespace reward_tuner {

/// Scores finished images. MUST
///  1. `RewardResult score(const RewardInput&) const`: [B] values, higher is better.
///  2. `static constexpr bool kDifferentiable`: gradient flows from the values to the images.
///  3. `static constexpr bool kPerGroup`: values depend on all images of the group, those of equal group_ids.
/// MAY
///  4. `bool needs_clip() const` and `void bind_clip(std::shared_ptr<const ClipModel>)`, both or neither: while the
///     first is true, the tuner passes the pipeline's CLIP. Default: needs none.
///  5. `bool per_group() const`, of a reward that learns at run time what it holds: asked in place of kPerGroup.
///     Default: kPerGroup.
///  6. `bool differentiable() const`, likewise, in place of kDifferentiable wherever a program asks at run time.
///     Default: kDifferentiable.
///  7. `std::future<RewardResult> score_later(const RewardInput&) const`: what score() returns, once it is there; keeps
///     what it needs of the input. A round asks it for each micro-batch and samples the next meanwhile. Default:
///     score() is called when all are sampled.
///  8. `bool scores_later() const`, beside the former, of a reward that learns at run time what it holds.
///     Default: true.
template <class P>
concept RewardPolicy = require::role<P, RewardRole> && require::name<P> && require::score<P> &&
                       require::differentiable_trait<P> && require::per_group_trait<P> && may::take_clip<P> &&
                       may::per_group<P> && may::differentiable<P> && may::score_later<P> && may::scores_later<P>;

/// Turns a model's noise levels into a table of steps. MUST
///  1. `SamplerSchedule schedule(const NoiseSchedule&) const`: its rows answer `coefficients(k)` and `timestep(k)`.
///  2. `double guidance() const`: the guidance scale of ordinary rollouts; 1 and less: the condition alone.
///  3. `int num_steps` in its Options: the T that step selections are checked against.
/// MAY
///  4. `static constexpr bool kStochastic`: its options can give every trained step noise, which objectives on
///     log-probabilities need. Default: false.
///  5. `static Options stochastic(Options)`: the options with noise in every step unless they say otherwise; called
///     with objectives on log-probabilities. Default: the options as they are.
template <class P>
concept SamplerPolicy =
    require::role<P, SamplerRole> && require::name<P> && require::options<P> && require::num_steps<P> &&
    require::schedule<P> && require::guidance_scale<P> && may::kStochastic<P> && may::stochastic<P>;

/// A sampler whose steps have a density.
template <class P>
concept StochasticSampler = SamplerPolicy<P> && SamplerTraits<P>::kStochastic;

/// How much of the adjoint enters the network's input at step k. MUST
///  1. `double input_gain(int k) const` in [0, 1]: 0 stops the gradient, 1 passes all of it.
///  2. `static constexpr bool kAlwaysStops`: input_gain is 0 for every k, so cotangents are known in closed form.
template <class P>
concept GradientStopPolicy = require::role<P, GradientStopRole> && require::name<P> && require::options<P> &&
                             require::input_gain<P> && require::always_stops_trait<P>;

/// Chooses the trained steps of an update. MUST
///  1. `StepPlan plan(const PlanContext&, Rng&) const`: shared by the whole batch, so that every sample costs the same.
///  2. `void check(int num_steps) const`: throws a named error if the options do not fit T steps.
template <class P>
concept StepSelectionPolicy = require::role<P, StepSelectionRole> && require::name<P> && require::options<P> &&
                              require::plan<P> && require::check<P>;

/// Changes condition or guidance in training rollouts only, never in evaluation. MUST
///  1. `Condition condition(const Condition&, Rng&) const`.
///  2. `double guidance(double scale, int k, int num_steps) const`: the scale at step k. Also asked when a tuner is
///     made: it throws a named error if the sampler's scale does not fit.
/// MAY
///  3. `bool active(const PlanContext&) const`: while false, no update calls the two. Default: always true.
template <class P>
concept ExplorationPolicy = require::role<P, ExplorationRole> && require::name<P> && require::options<P> &&
                            require::explore_condition<P> && require::explore_guidance<P> && may::active<P>;

/// An objective that differentiates the reward itself, through decoder and sampler. MUST
///  1. `static constexpr Surrogate kSurrogate = Surrogate::kReward`.
///  2. `Tensor losses(const Tensor& rewards) const`: [B] -> [B], differentiable.
template <class P>
concept RewardObjective = require::role<P, ObjectiveRole> && require::name<P> && require::options<P> &&
                          require::surrogate<P, Surrogate::kReward> && require::reward_losses<P>;

/// An objective on the log-probabilities of sampled steps. MUST
///  1. `static constexpr Surrogate kSurrogate = Surrogate::kLogProb`.
///  2. `Tensor losses(const PolicyRows&) const` (objectives/policy_rows.hpp): [n] -> [n], or of pairs [2m] -> [m];
///     differentiable.
///  3. `const Options& options() const`, with `RoundOptions round` in its Options: how a round is sampled and trained.
/// MAY
///  4. `static constexpr bool kPairs`: rows come in pairs, the first half the preferred images. Default: false.
///  5. `bool needs_reference() const`: rows hold the untuned network's log-probabilities and the drift from it, for
///     one more network call each. Default: false.
///  6. `double clip() const`: the range around ratio 1 outside which reports count rows. Default: none counted.
///  7. `const ValueBaselineOptions& value_baseline() const`: a learned baseline is subtracted from the advantages.
///     Default: none.
///  8. `int default_group() const`: images of each prompt if round.samples_per_prompt is 0. Default: 1.
///  9. `static Options completed(Options, const ObjectiveContext&)`: the options with those set that depend on the
///     model or on other policies, where they are not; called before every update. Default: the options as they are.
template <class P>
concept LogProbObjective = require::role<P, ObjectiveRole> && require::name<P> && require::options<P> &&
                           require::surrogate<P, Surrogate::kLogProb> && require::row_losses<P> &&
                           require::round_options<P> && may::kPairs<P> && may::needs_reference<P> && may::clip<P> &&
                           may::value_baseline<P> && may::default_group<P> && may::completed<P>;

/// An objective that weighs the denoising loss of sampled images. MUST
///  1. `static constexpr Surrogate kSurrogate = Surrogate::kDenoising`.
///  2. `std::vector<double> weights(const std::vector<double>& rewards, const std::vector<std::int64_t>& groups)
///     const`: one per image, of which the mean over all images is minimized; an image of negligible weight is not
///     evaluated.
///  3. `const Options& options() const`, with `RoundOptions round` in its Options: how a round is sampled and trained.
/// MAY
///  4. `int noisings() const`: noise levels at which each image is denoised in a pass. Default: 1.
///  5. `bool samples_reference() const`: rounds are sampled from the untuned network. Default: false.
///  6. `int default_group() const`: images of each prompt if round.samples_per_prompt is 0. Default: 1.
template <class P>
concept DenoisingObjective =
    require::role<P, ObjectiveRole> && require::name<P> && require::options<P> &&
    require::surrogate<P, Surrogate::kDenoising> && require::weights<P> && require::round_options<P> &&
    may::noisings<P> && may::samples_reference<P> && may::default_group<P>;

/// Turns rewards into the gradient of a loss: one of the three above, selected by kSurrogate.
template <class P>
concept ObjectivePolicy = RewardObjective<P> || LogProbObjective<P> || DenoisingObjective<P>;

/// Turns the rewards of a round into advantages: how much better than expected each image is. MUST
///  1. `std::vector<double> advantages(const AdvantageInput&, RewardHistory&) const`: one per image, finite for finite
///     rewards; 0 where there is nothing to compare with. It stores its state in the history, which the tuner keeps and
///     saves in checkpoints. A round is asked twice, when it is sampled with a copy of the history, and when it was
///     trained with the tuner's own: a round that is dropped or fails is not remembered.
/// MAY
///  2. `static constexpr int kDefaultGroup`: images of each prompt if round.samples_per_prompt is 0. Default: 1.
template <class P>
concept AdvantagePolicy = require::role<P, AdvantageRole> && require::name<P> && require::options<P> &&
                          require::advantages<P> && may::kDefaultGroup<P>;

/// Forks every rollout where its first trained step begins, and chooses which branches are trained. MUST
///  1. `int branches() const`: copies at the fork, >= 1; 1 does not fork.
///  2. `std::vector<BranchChoice> choose(const std::vector<double>& advantages) const`: of the branches of one root;
///     may be empty.
template <class P>
concept BranchingPolicy = require::role<P, BranchingRole> && require::name<P> && require::options<P> &&
                          require::branches<P> && require::choose<P>;

/// A loss in addition to the reward's. MUST
///  1. `static constexpr bool kNeedsReference`: the output of every trained step is compared with the untuned
///     network's.
///  2. `double weight() const`: the factor on that comparison, >= 0; 0 saves the untuned network's calls.
/// MAY
///  3. `template <class Pipeline> Tensor own_loss(Pipeline&, Rng&) const`, `std::int64_t own_rows() const` and
///     `bool alternates() const`, all or none: a scalar loss apart from the trained steps (undefined: switched off),
///     the samples of its network call, and whether it gets an optimizer step of its own. Default: no such loss.
template <class P>
concept RegularizerPolicy = require::role<P, RegularizerRole> && require::name<P> && require::options<P> &&
                            require::needs_reference_trait<P> && require::regularizer_weight<P> && may::own_loss<P>;

}  // namespace reward_tuner
