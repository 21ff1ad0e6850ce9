// The update that learns from the denoising loss of sampled images, weighted by their rewards: a round of images, and
// optimizer steps of ordinary denoiser training on them.
#pragma once
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/engine/shared_work.hpp>
#include <reward_tuner/engine/transitions.hpp>
#include <reward_tuner/models/denoising_errors.hpp>
#include <reward_tuner/ranks/gradient_sum.hpp>
#include <reward_tuner/tensor/device.hpp>
#include <reward_tuner/tensor/stage_clock.hpp>
#include <reward_tuner/tuner/idle_round.hpp>
#include <reward_tuner/tuner/round.hpp>
#include <reward_tuner/tuner/round_rules.hpp>
#include <reward_tuner/tuner/round_sampling.hpp>
#include <reward_tuner/tuner/round_selection.hpp>
#include <reward_tuner/tuner/round_training.hpp>
#include <reward_tuner/tuner/surrogate_rules.hpp>

namespace reward_tuner {

/// Surrogate::kDenoising: the mean over all images and noisings of weight * denoising error. Images of negligible
/// weight count in the mean and cost nothing.
template <class Parts>
class DenoisingRound {
  using Objective = typename Parts::Objective;

 public:
  explicit DenoisingRound(const Parts& parts) : parts_(parts) {}

  /// Images of the untuned network, or of the present one, scored; those whose weight is not negligible are kept, under
  /// their prompts as they are: what is learned is the prompt, not the exploration.
  template <DiffusionPipeline Pipeline>
  Round sample(Pipeline& pipeline, const std::vector<std::string>& prompts, Rng& rng) const {
    Round round;
    UpdateReport& report = round.report;
    NetworkCounts counts;
    auto drawn = parts_.draw(pipeline, prompts, samples_per_prompt(parts_), rng);
    report.plan = drawn.explored.plan;
    check_micro_batches(parts_, drawn.explored.size());
    drawn.explored.plan.trained = {};  // nothing of the path is needed
    const auto [all, rewards] =
        sample_and_score(pipeline, parts_, [&](const std::function<void(const CleanSamples&)>& finished) {
          return images(pipeline, drawn.explored, std::move(drawn.noise),
                        {.micro_batch = parts_.options.engine.micro_batch, .finished = finished, .ranks = parts_.ranks},
                        counts);
        });
    const RoundRewards scored = round_rewards(parts_, all, rewards, report);
    Tensor kept = at::zeros({0}, at::kLong);  // int64 [kept]
    if (report.skip_reason.empty()) {
      const AdvantageInput& input = scored.scored;
      kept = select_weighted(round, parts_.objective.weights(input.rewards, input.groups));
      count_groups(round, input.groups, kept, report);
      if (kept.numel() == 0) report.idle_reason = idle_reason(input.rewards, {}, {}, {});
      kept = scored.images.index_select(0, kept);
    }
    report.kept = kept.numel();
    round.transitions = all.select(kept);
    round.source = drawn.plain.select(kept);
    round.transitions.setup.condition = round.source.condition();
    add_counts(report, of_all_ranks(parts_.ranks, counts));
    return round;
  }

  /// Passes over the kept images, cut into optimizer steps.
  template <class Update>
  void train(Update& update, const Round& round) const {
    const RoundOptions& options = parts_.objective.options().round;
    const torch::AutoGradMode grad(true);
    double total = 0;
    NetworkCounts counts;  // of this rank's rows
    bool sound = true;
    std::int64_t steps_wanted = 0;
    for (int epoch = 0; epoch < options.epochs && sound; ++epoch) {
      const auto parts = shares(round.transitions.size(), std::max(1, options.updates_per_epoch), update.rng);
      for (std::size_t i = 0; i < parts.size() && sound; ++i, ++steps_wanted) {
        total += accumulate(update, round, parts[i], counts);
        sound = end_round_step(parts_, update);
      }
    }
    update.counts.add(of_all_ranks(parts_.ranks, counts));
    update.report.loss += total / static_cast<double>(std::max<std::int64_t>(1, steps_wanted));
  }

 private:
  template <DiffusionPipeline Pipeline>
  Transitions images(Pipeline& pipeline, const RolloutSetup& setup, SampleNoise noise, const SamplingOptions& options,
                     NetworkCounts& counts) const {
    if (!ObjectiveTraits<Objective>::samples_reference(parts_.objective))
      return sample_transitions(pipeline, setup, std::move(noise), options, counts);
    RolloutSetup untuned = setup;
    untuned.condition = setup.condition.reference();
    const auto scope = pipeline.reference_scope();
    return sample_transitions(pipeline, untuned, std::move(noise), options, counts);
  }

  /// Adds the gradients of an optimizer step on some samples, each at random noise levels; returns the step's loss.
  template <class Update>
  double accumulate(Update& update, const Round& round, const std::vector<std::int64_t>& samples,
                    NetworkCounts& counts) const {
    ConditionGradient condition = round_gradient(parts_, update, round);
    const Transitions t = present_transitions(round, condition);
    const std::int64_t levels = update.pipeline.noise_schedule().config().num_train_steps;
    std::vector<std::int64_t> rows, times;
    const int noisings = ObjectiveTraits<Objective>::noisings(parts_.objective);
    for (int i = 0; i < noisings; ++i)
      for (const std::int64_t sample : samples) {
        rows.push_back(sample);
        times.push_back(update.rng.integer(0, levels - 1));
      }
    const auto count = static_cast<std::int64_t>(rows.size());
    std::vector<std::int64_t> shape = t.clean.sizes().vec();
    shape[0] = count;
    // [rows,C,h,w] at once: pieces of a stream depend on where it is cut
    const Tensor noise = update.rng.normal(shape, t.clean.options());
    const std::int64_t at_once = rows_at_once(parts_, update.report.kept);
    // the images of this step stand for their share of all images that have a score, kept or not
    const std::int64_t scored = update.report.images - update.report.failed_scores;
    const double all = static_cast<double>(count * scored) / static_cast<double>(update.report.kept);
    std::vector<Tensor> losses;  // 0-d each
    GradientSum sum = gradient_sum(update, condition);
    const auto [first, last] = parts_.ranks.own(count, at_once);
    for (std::int64_t begin = first; begin < last; begin += at_once) {
      const StageScope stage(Stage::kBackward);
      const std::int64_t end = std::min(count, begin + at_once);
      const std::vector<std::int64_t> own(rows.begin() + begin, rows.begin() + end);
      const Tensor index = at::tensor(own, at::kLong);                         // [n]
      const Tensor latents = t.clean.index_select(0, beside(t.clean, index));  // [n,C,h,w]
      std::vector<double> weights;
      for (const std::int64_t sample : own) weights.push_back(round.weights[static_cast<std::size_t>(sample)]);
      const Tensor errors = denoising_errors(update.pipeline, latents, {times.begin() + begin, times.begin() + end},
                                             noise.narrow(0, begin, end - begin),
                                             t.setup.condition.positive.select(index));  // [n]
      const Tensor loss =
          (beside(errors, at::tensor(weights, at::kDouble)) * errors.to(at::kDouble)).sum() / all;  // 0-d
      counts.add({.forwards = 1, .backwards = 1, .forward_samples = end - begin, .backward_samples = end - begin});
      losses.push_back(loss.detach());
      torch::autograd::backward({loss}, {});
      sum.next();
    }
    sum.finish();
    condition.backward();
    const Tensor own = losses.empty() ? Tensor() : at::stack(losses);
    // double, one for each network call
    const Tensor values = of_all_ranks(parts_.ranks, "losses", {own}, t.clean.device())[0].cpu();
    return std::accumulate(values.const_data_ptr<double>(), values.const_data_ptr<double>() + values.numel(), 0.0);
  }

  const Parts& parts_;
};

template <>
struct SurrogateRules<Surrogate::kDenoising> : RoundRules {
  template <class Parts>
  using Update = DenoisingRound<Parts>;
  static constexpr bool kAdvantages = false;

  template <class Reward, class Sampler, class Objective, class Regularizer, class... Given>
  struct Allows : AllowsRounds<Given...> {
    static_assert(detail::count_role<AdvantageRole, Given...> + detail::count_role<BranchingRole, Given...> +
                          detail::count_role<StepSelectionRole, Given...> ==
                      0,
                  "[RewardTuner] RewardWeighted weighs images by their rewards: an AdvantagePolicy, a BranchingPolicy "
                  "or a StepSelectionPolicy cannot be combined with it");
    static_assert(
        !RegularizerTraits<Regularizer>::kNeedsReference,
        "[RewardTuner] RewardWeighted trains no sampler steps: KlToReference, which compares them with the untuned "
        "network's, cannot be combined with it");
    static constexpr bool value = true;
  };
};

}  // namespace reward_tuner
