// The properties that the class of a surrogate declares, apart from how it trains.
#pragma once
#include <reward_tuner/core/surrogate.hpp>

namespace reward_tuner {

/// Specialized in the header of each surrogate's class. It has
///  1. `template <class Parts> using Update`: the class, made from a tuner's parts. It trains by
///     `train(RunningUpdate&, work)`.
///  2. `kSamples`: whether it learns from sampled images, in rounds: Update has
///     `sample(pipeline, prompts, rng) -> Round`, and `work` is that Round. Else `work` is the prompts.
///  3. `kAdvantages`: whether it uses an advantage and a branching.
///  4. `DefaultSteps`, and `Allows<Reward, Sampler, Objective, Regularizer, Given...>::value`: true, or one sentence at
///     compile time on policies that cannot be combined with it.
///  5. `completed(sampler options)`, `check(engine options, name)` and `check(plan, schedule, name)`: options and plans
///     that it can train with. `name` is the objective's.
///  6. `trainable(schedule)`: the steps it can learn from, as PlanContext has them; empty: all.
///  7. `kGradientClip`: engine.gradient_clip where it is unset.
///  8. `kKept`: what a skipped update leaves of the steps before.
template <Surrogate>
struct SurrogateRules;

}  // namespace reward_tuner
