// Policies chosen at run time: one type stands for several, so that methods that differ in them share one
// instantiation.
#pragma once
#include <cstddef>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <reward_tuner/advantages/history.hpp>
#include <reward_tuner/advantages/per_batch.hpp>
#include <reward_tuner/advantages/per_group.hpp>
#include <reward_tuner/advantages/per_prompt.hpp>
#include <reward_tuner/advantages/per_reward.hpp>
#include <reward_tuner/branching/best_and_worst.hpp>
#include <reward_tuner/branching/no_branching.hpp>
#include <reward_tuner/exploration/diffexp.hpp>
#include <reward_tuner/exploration/dynamic_guidance.hpp>
#include <reward_tuner/exploration/no_exploration.hpp>
#include <reward_tuner/exploration/prompt_weighting.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/regularizers/pretraining_loss.hpp>
#include <reward_tuner/step_selection/all_steps.hpp>
#include <reward_tuner/step_selection/backward_window.hpp>
#include <reward_tuner/step_selection/last_steps.hpp>
#include <reward_tuner/step_selection/late_jump.hpp>
#include <reward_tuner/step_selection/noised_tail.hpp>
#include <reward_tuner/step_selection/random_horizon.hpp>
#include <reward_tuner/step_selection/random_steps.hpp>
#include <reward_tuner/step_selection/spread_steps.hpp>

namespace rt_shared {

namespace rt = reward_tuner;

/// One of `Policies`: the one whose options are given.
template <class... Policies>
class OneOf {
 public:
  using Options = std::variant<typename Policies::Options...>;
  static constexpr std::string_view kName = "chosen";

  explicit OneOf(const Options& options = {}) : held_(make<0>(options)) {}
  std::string_view name() const {
    return visit([]<class P>(const P&) { return P::kName; });
  }

 protected:
  using Held = std::variant<Policies...>;
  template <class F>
  auto visit(F f) const {
    return std::visit(f, held_);
  }

 private:
  template <std::size_t I>
  static Held make(const Options& options) {
    if constexpr (I + 1 < sizeof...(Policies))
      if (options.index() != I) return make<I + 1>(options);
    return Held(std::in_place_index<I>, std::get<I>(options));
  }

  Held held_;
};

/// Steps of a method that follows the reward's gradient: they are what tells these methods apart.
class ChosenDirectSteps
    : public OneOf<rt::SpreadSteps, rt::LastSteps, rt::NoisedTail, rt::LateJump, rt::RandomHorizon> {
 public:
  using Role = rt::StepSelectionRole;
  using OneOf::OneOf;
  void check(int num_steps) const {
    visit([&](const auto& p) { p.check(num_steps); });
  }
  rt::StepPlan plan(const rt::PlanContext& context, rt::Rng& rng) const {
    return visit([&](const auto& p) { return p.plan(context, rng); });
  }
};
static_assert(rt::StepSelectionPolicy<ChosenDirectSteps>);

/// Steps of a method on log-probabilities.
class ChosenSteps : public OneOf<rt::AllSteps, rt::BackwardWindow, rt::RandomSteps> {
 public:
  using Role = rt::StepSelectionRole;
  using OneOf::OneOf;
  void check(int num_steps) const {
    visit([&](const auto& p) { p.check(num_steps); });
  }
  rt::StepPlan plan(const rt::PlanContext& context, rt::Rng& rng) const {
    return visit([&](const auto& p) { return p.plan(context, rng); });
  }
};
static_assert(rt::StepSelectionPolicy<ChosenSteps>);

class ChosenAdvantage : public OneOf<rt::PerBatch, rt::PerPrompt, rt::PerGroup, rt::PerReward, rt::History> {
 public:
  using Role = rt::AdvantageRole;
  using OneOf::OneOf;
  std::vector<double> advantages(const rt::AdvantageInput& input, rt::RewardHistory& history) const {
    return visit([&](const auto& p) { return p.advantages(input, history); });
  }
};
static_assert(rt::AdvantagePolicy<ChosenAdvantage>);

class ChosenBranching : public OneOf<rt::NoBranching, rt::BestAndWorst> {
 public:
  using Role = rt::BranchingRole;
  using OneOf::OneOf;
  int branches() const {
    return visit([](const auto& p) { return p.branches(); });
  }
  std::vector<rt::BranchChoice> choose(const std::vector<double>& advantages) const {
    return visit([&](const auto& p) { return p.choose(advantages); });
  }
};
static_assert(rt::BranchingPolicy<ChosenBranching>);

class ChosenExploration : public OneOf<rt::NoExploration, rt::DynamicGuidance, rt::PromptWeighting, rt::DiffExp> {
 public:
  using Role = rt::ExplorationRole;
  using OneOf::OneOf;
  bool active(const rt::PlanContext& context) const {
    return visit([&](const auto& p) {
      if constexpr (requires { p.active(context); }) return p.active(context);
      else return false;  // NoExploration
    });
  }
  rt::Condition condition(const rt::Condition& given, rt::Rng& rng) const {
    return visit([&](const auto& p) { return p.condition(given, rng); });
  }
  double guidance(double scale, int k, int num_steps) const {
    return visit([&](const auto& p) { return p.guidance(scale, k, num_steps); });
  }
};
static_assert(rt::ExplorationPolicy<ChosenExploration>);

struct ChosenRegularizerOptions {
  rt::KlToReferenceOptions kl = {.weight = 0};
  rt::PretrainingLossOptions pretraining = {};
};
REWARD_TUNER_FIELDS(ChosenRegularizerOptions, kl, pretraining);

/// Both regularizers, each switched off by a weight of 0 or by having no images.
class ChosenRegularizer {
 public:
  using Role = rt::RegularizerRole;
  using Options = ChosenRegularizerOptions;
  static constexpr std::string_view kName = "chosen";
  static constexpr bool kNeedsReference = true;

  explicit ChosenRegularizer(ChosenRegularizerOptions options = {})
      : kl_(options.kl), pretraining_(std::move(options.pretraining)) {}
  double weight() const { return kl_.weight(); }
  bool alternates() const { return pretraining_.alternates(); }
  std::int64_t own_rows() const { return pretraining_.own_rows(); }
  template <class Pipeline>
  rt::Tensor own_loss(Pipeline& pipeline, rt::Rng& rng) const {
    return pretraining_.own_loss(pipeline, rng);
  }

 private:
  rt::KlToReference kl_;
  rt::PretrainingLoss pretraining_;
};
static_assert(rt::RegularizerPolicy<ChosenRegularizer>);

}  // namespace rt_shared
