// Rounds that can teach nothing are refused before they are sampled; rounds that did teach nothing say why.
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/tuner/idle_round.hpp>

#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/advantages/history.hpp>
#include <reward_tuner/advantages/per_batch.hpp>
#include <reward_tuner/methods/b2_diffurl.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/dpo.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/methods/grpo.hpp>
#include <reward_tuner/methods/policy_gradient.hpp>
#include <reward_tuner/methods/reward_weighted.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/run/prompt_set.hpp>
#include <reward_tuner/tuner/multi_task.hpp>

#include <tests/reference/toy_pipeline.hpp>
#include <tests/reference/toy_reward.hpp>

namespace idle_round_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

const std::vector<std::string> kPrompts = {"a red circle", "two blue squares"};

/// A branching that never forks, though it may be named where pairs are wanted.
struct OneBranch {
  using Role = BranchingRole;
  struct Options {};
  static constexpr std::string_view kName = "one_branch";
  explicit OneBranch(Options = {}) {}
  int branches() const { return 1; }
  // not inlined, or g++ 12 warns of a second branch that is never read
  [[gnu::noinline]] std::vector<BranchChoice> choose(const std::vector<double>& own) const {
    return std::vector<BranchChoice>(own.size());
  }
};

/// The sentence of the refusal; empty if such rounds can teach.
std::string refusal(const auto& tuner, const std::vector<std::string>& prompts) {
  try {
    tuner.check_round(prompts);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}
constexpr RoundOptions kOneEach{.samples_per_prompt = 1};

}  // namespace
}  // namespace idle_round_test

TEST_CASE("rounds with nothing to compare are refused, with what they have") {
  using namespace idle_round_test;
  CHECK(
      refusal(make<GRPO>(black_box_brightness(), {.objective = {.round = kOneEach}}), kPrompts) ==
      "[RewardTuner] clipped_ratio can learn nothing from such rounds, whatever the rewards: expected images to "
      "compare (more of round.samples_per_prompt, prompts or branches), another advantage or a lower threshold, got 2 "
      "prompts with 1 image of each in 1 branch");
  // one image, and only itself to compare it with
  CHECK_FALSE(refusal(make<PolicyGradient, PerBatch>(black_box_brightness()), {"a star"}).empty());
  CHECK_FALSE(refusal(make<DPO, OneBranch>(black_box_brightness()), kPrompts).empty());
  CHECK_FALSE(refusal(make<B2DiffuRL>(black_box_brightness(), {.branching = {.threshold = 1e6}}), kPrompts).empty());
  // weights that are equal whatever the rewards
  const auto weighted = [](RewardWeighting weighting, int best) {
    return make<RewardWeightedTraining>(black_box_brightness(),
                                        {.objective = {.weighting = weighting, .best = best, .round = kOneEach}});
  };
  CHECK_FALSE(refusal(weighted(RewardWeighting::kMinMax, 1), {"a star"}).empty());
  CHECK_FALSE(refusal(weighted(RewardWeighting::kExponential, 1), {"a star"}).empty());
  CHECK_FALSE(refusal(weighted(RewardWeighting::kBest, 1), kPrompts).empty());
  CHECK_FALSE(refusal(weighted(RewardWeighting::kBest, 2), {"a star", "a star"}).empty());
}

TEST_CASE("rounds that can teach pass, at once or after earlier rounds, and what is asked leaves no trace") {
  using namespace idle_round_test;
  const auto passes = [](const auto& tuner, const std::vector<std::string>& prompts) {
    const TunerState before = tuner.state();
    CHECK(refusal(tuner, prompts) == "");
    CHECK(tuner.state() == before);
  };
  passes(make<GRPO>(black_box_brightness()), kPrompts);
  passes(make<GRPO>(black_box_brightness(), {.objective = {.round = {.samples_per_prompt = 2}}}), {"a star"});
  // a prompt that comes twice is a group
  passes(make<GRPO>(black_box_brightness(), {.objective = {.round = kOneEach}}), {"a star", "a moon", "a star"});
  passes(make<PolicyGradient, PerBatch>(black_box_brightness()), kPrompts);
  passes(make<DDPO>(black_box_brightness()), {"a star"});  // compares with earlier rounds
  passes(make<DDPO, History>(black_box_brightness()), {"a star"});
  passes(make<DPO>(black_box_brightness()), {"a star"});
  passes(make<B2DiffuRL>(black_box_brightness()), {"a star"});
  passes(make<B2DiffuRL>(black_box_brightness(), {.branching = {.num_branches = 5, .threshold = 1.9}}), {"a star"});
  // of many equal prompts a pair must differ within one root
  passes(make<DPO>(black_box_brightness(), {.branching = {.num_branches = 2}}), std::vector<std::string>(16, "a star"));
  passes(make<B2DiffuRL, Preference>(black_box_brightness()), std::vector<std::string>(16, "a star"));
  passes(make<RewardWeightedTraining>(black_box_brightness()), kPrompts);
  passes(make<RewardWeightedTraining>(black_box_brightness(), {.objective = {.weighting = RewardWeighting::kBest}}),
         {"a star"});
  passes(make<DRTune>(ToyReward()), {"a star"});
}

TEST_CASE("the first update asks, before the network is called") {
  using namespace idle_round_test;
  ToyPipeline pipeline;
  AdamW optimizer(pipeline.parameters());
  Rng rng(1);
  auto tuner = make<GRPO>(black_box_brightness(), {.sampler = {.num_steps = 2}, .objective = {.round = kOneEach}});
  CHECK_THROWS_WITH_AS(tuner.update(pipeline, optimizer, kPrompts, rng), doctest::Contains("can learn nothing"), Error);
  CHECK(pipeline.calls == 0);
  CHECK(tuner.state().updates == 0);
  // later rounds may happen to have nothing to compare: that is a report, not an error
  TunerState later = tuner.state();
  later.updates = 1;
  tuner.load_state(later);
  CHECK(tuner.update(pipeline, optimizer, kPrompts, rng).idle_reason ==
        "the advantages by per_group of all 2 images are 0: those that it compares have equal rewards");
}

TEST_CASE("an update that keeps nothing says why, and which task it was") {
  using namespace idle_round_test;
  const auto update = [](auto tuner) {
    ToyPipeline pipeline;
    AdamW optimizer(pipeline.parameters());
    Rng rng(1);
    return tuner.update(pipeline, optimizer, kPrompts, rng);
  };
  const auto equal = black_box([](const Tensor& images) { return at::full({images.size(0)}, 0.25); });
  const DdimOptions sampler{.num_steps = 3};
  CHECK(update(make<DDPO>(equal, {.sampler = sampler})).idle_reason == "all 2 rewards are equal (0.250000)");
  // as parity: one reward for all images of a prompt
  const auto by_prompt = black_box([](const RewardInput& input) {
    std::vector<double> rewards;
    for (const auto& prompt : input.prompts) rewards.push_back(static_cast<double>(prompt.size()));
    return at::tensor(rewards, input.images.options());
  });
  CHECK(update(make<GRPO>(by_prompt, {.sampler = sampler})).idle_reason ==
        "the advantages by per_group of all 16 images are 0: those that it compares have equal rewards");
  // one branch would have to be as far below the middle one as the other is above
  CHECK(update(make<DPO>(black_box_brightness(), {.sampler = sampler, .branching = {.threshold = 1.2}}))
            .idle_reason.starts_with("the branching best_and_worst chose none of the 6 images"));
  CHECK(update(make<DDPO>(black_box_brightness(), {.sampler = sampler})).idle_reason.empty());
  CHECK(update(make<DRTune>(ToyReward(), {.sampler = sampler, .steps = {.num_trained = 2}})).idle_reason.empty());

  const auto report = update(multi_task({}, task("alike", make<DDPO>(equal, {.sampler = sampler})),
                                        task("bright", make<DDPO>(black_box_brightness(), {.sampler = sampler}))));
  CHECK(report.kept > 0);
  CHECK(report.idle_reason == "alike: all 2 rewards are equal (0.250000)");
  std::ostringstream line;
  line << report;
  CHECK(line.str().ends_with("  IDLE: " + report.idle_reason));
}

TEST_CASE("a task whose rounds can teach nothing is named") {
  using namespace idle_round_test;
  const auto tasks = multi_task({}, task("bright", make<DDPO>(black_box_brightness())),
                                task("alone", make<GRPO>(black_box_brightness(), {.objective = {.round = kOneEach}}),
                                     PromptSet({"a star", "a moon", "a cat"}), 2));
  CHECK(refusal(tasks, kPrompts).starts_with("[MultiTask] task alone: [RewardTuner] clipped_ratio can learn nothing"));
}
