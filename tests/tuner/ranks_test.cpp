// Updates divided among ranks: weights, reports, states and streams of one process, bit for bit, by every method.
#include <doctest/doctest.h>

#include <concepts>
#include <cstdint>
#include <limits>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/advantages/per_prompt.hpp>
#include <reward_tuner/exploration/dynamic_guidance.hpp>
#include <reward_tuner/methods/alignprop.hpp>
#include <reward_tuner/methods/b2_diffurl.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/dpo.hpp>
#include <reward_tuner/methods/dpok.hpp>
#include <reward_tuner/methods/draft_lv.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/methods/grpo.hpp>
#include <reward_tuner/methods/lsrl.hpp>
#include <reward_tuner/methods/refl.hpp>
#include <reward_tuner/methods/reward_weighted.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/weighted_sum.hpp>
#include <reward_tuner/tuner/multi_task.hpp>

#include <tests/reference/captioned_toy.hpp>
#include <tests/reference/tensor_lists.hpp>
#include <tests/reference/text_toy.hpp>
#include <tests/reference/thread_ranks.hpp>
#include <tests/reference/toy_reward.hpp>

namespace tuner_ranks_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

const std::vector<std::string> kPrompts = {"a red circle", "two blue squares", "a star",
                                           "a green moon", "a red circle",     "a fish"};
constexpr int kUpdates = 3;

/// What a rank holds after some updates.
struct Held {
  std::vector<Tensor> parameters;
  std::map<std::string, Tensor> optimizer;
  std::vector<UpdateReport> reports;
  TunerState state;
  std::uint64_t next = 0;  // of the stream
};

/// Two samples' latents differ in the last bits with the batch they stand in, unless it is cut alike.
ToyOptions float_toy() { return {.side = 8, .width = 6, .dtype = at::kFloat}; }

template <class Pipeline>
Pipeline toy() {
  if constexpr (std::same_as<Pipeline, TextToy>) return TextToy(/*trained=*/true, float_toy());
  else return Pipeline(float_toy());
}

template <class Pipeline = CaptionedToy, class MakeTuner>
std::vector<Held> held(MakeTuner make_tuner, int size, const std::vector<std::string>& prompts = kPrompts) {
  std::mutex mutex;
  std::vector<Held> out(static_cast<std::size_t>(size));
  on_ranks(size, [&](const Ranks& ranks) {
    auto pipeline = toy<Pipeline>();
    pipeline.disturb(8, 0.05);
    AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-3});
    Rng rng(5);
    auto tuner = make_tuner();
    tuner.plan(10);
    tuner.join(ranks);
    Held own;
    for (int i = 0; i < kUpdates; ++i) own.reports.push_back(tuner.update(pipeline, optimizer, prompts, rng));
    own.parameters = copies(pipeline.parameters());
    own.optimizer = optimizer.state();
    own.state = tuner.state();
    own.next = rng.bits();
    const std::lock_guard lock(mutex);
    out[static_cast<std::size_t>(ranks.rank())] = std::move(own);
  });
  return out;
}

/// All that a report says of an update, but for its time and memory.
std::string said(UpdateReport report) {
  report.seconds = 0;
  std::ostringstream out;
  out.precision(17);
  out << report << ' ' << report.loss << ' ' << report.reward << ' ' << report.regularizer << ' '
      << report.gradient_norm << ' ' << report.forward_samples << ' ' << report.backward_samples << ' '
      << report.retained << ' ' << report.images << ' ' << report.kept << ' ' << report.groups << ' '
      << report.idle_groups << ' ' << report.zero_std_ratio << ' ' << report.ratio_deviation << ' '
      << report.clip_fraction << ' ' << report.policy_change << ' ' << report.towers.computed << ' '
      << report.skip_reason << ' ' << report.failed_scores << ' ' << report.log_prob_difference << ' '
      << report.largest_log_prob_difference << ' ' << report.ratio_mean << ' ' << report.ratio_std << ' '
      << report.clip_fraction_low << ' ' << report.clip_fraction_high << ' ' << report.optimizer_steps << ' '
      << report.idle_reason << ' ' << report.warning;
  for (const auto& [name, value] : report.components) out << ' ' << name << ' ' << value;
  for (const StepReport& step : report.steps)
    out << ' ' << step.task << step.step << ' ' << step.rows << ' ' << step.clip_fraction << ' ' << step.policy_change
        << ' ' << step.cotangent_norm;
  return out.str();
}

void check_equal(const Held& expected, const Held& got) {
  REQUIRE(expected.parameters.size() == got.parameters.size());
  CHECK(bit_equal(expected.parameters, got.parameters));
  for (const auto& saved : expected.optimizer)
    CHECK_MESSAGE(got.optimizer.at(saved.first).equal(saved.second), saved.first);
  for (std::size_t i = 0; i < expected.reports.size(); ++i) CHECK(said(got.reports[i]) == said(expected.reports[i]));
  CHECK(got.state == expected.state);
  CHECK(got.next == expected.next);
}

template <class Pipeline = CaptionedToy, class MakeTuner>
void check_same(const char* name, MakeTuner make_tuner) {
  CAPTURE(name);
  const Held alone = held<Pipeline>(make_tuner, 1).front();
  CHECK(alone.reports.back().optimizer_steps > 0);
  for (const int size : {2, 3}) {
    CAPTURE(size);
    for (const Held& rank : held<Pipeline>(make_tuner, size)) check_equal(alone, rank);
  }
}

/// The deviation of a prompt's images.
struct Variety {
  using Role = RewardRole;
  static constexpr std::string_view kName = "variety";
  static constexpr bool kDifferentiable = true, kPerGroup = true;
  RewardResult score(const RewardInput& input) const {
    const Tensor means = input.images.mean({1, 2, 3});                                     // [N]
    const Tensor together = input.group_ids.unsqueeze(0) == input.group_ids.unsqueeze(1);  // bool [N,N]
    return {((means.unsqueeze(0) - means.unsqueeze(1)).square() * together).sum(1) + means};
  }
};

/// Has no score for images of one prompt.
struct Silent {
  using Role = RewardRole;
  static constexpr std::string_view kName = "silent";
  static constexpr bool kDifferentiable = false, kPerGroup = false;
  RewardResult score(const RewardInput& input) const {
    const Tensor values = input.images.mean({1, 2, 3}), failed = at::zeros({values.size(0)}, at::kBool);
    for (std::int64_t i = 0; i < values.size(0); ++i)
      if (input.prompts[static_cast<std::size_t>(i)] == "a star") failed[i] = true;
    return {.values = values.masked_fill(failed, std::numeric_limits<double>::quiet_NaN()),
            .components = {{"mean", values.masked_fill(failed, std::numeric_limits<double>::quiet_NaN())}},
            .failed = failed};
  }
};

}  // namespace

TEST_CASE("methods that follow the reward's gradient give the bits of one process on any number of ranks") {
  for (const Memory memory : {Memory(Memory::kReplay), Memory(Memory::kRetain)})
    check_same("drtune", [=] {
      return make<DRTune>(ToyReward(), {.sampler = {.num_steps = 5, .guidance = 3.0},
                                        .steps = {.num_trained = 3, .max_early_stop = 2},
                                        .engine = {.micro_batch = 2, .memory = memory}});
    });
  check_same("drtune, uneven, decoded one by one, KL", [] {
    return make<DRTune, KlToReference>(ToyReward(),
                                       {.sampler = {.num_steps = 4},
                                        .steps = {.num_trained = 3},
                                        .regularizer = {.weight = 0.3},
                                        .engine = {.micro_batch = 1, .replay_batch = 2, .decode_batch = 1}});
  });
  check_same("draft-lv",
             [] { return make<DRaFTLV>(ToyReward(), {.sampler = {.num_steps = 4}, .engine = {.micro_batch = 2}}); });
  check_same("alignprop",
             [] { return make<AlignProp>(ToyReward(), {.sampler = {.num_steps = 4}, .engine = {.micro_batch = 2}}); });
  check_same("refl", [] {
    return make<ReFL>(
        ToyReward(),
        {.sampler = {.num_steps = 8}, .steps = {.min_stop = 1, .max_stop = 4}, .engine = {.micro_batch = 2}});
  });
  check_same("a reward of whole groups", [] {
    return make<DRTune>(Variety(),
                        {.sampler = {.num_steps = 4}, .steps = {.num_trained = 2}, .engine = {.micro_batch = 2}});
  });
  check_same("with exploration", [] {
    return make<DRTune, DynamicGuidance>(
        ToyReward(),
        {.sampler = {.num_steps = 4, .guidance = 4.0}, .steps = {.num_trained = 2}, .engine = {.micro_batch = 2}});
  });
}

TEST_CASE("methods that learn from samples do, whatever they compare and remember") {
  const auto bright = black_box_brightness();
  check_same("ddpo", [=] {
    return make<DDPO>(bright, {.sampler = {.num_steps = 4, .guidance = 3.0},
                               .objective = {.round = {.samples_per_prompt = 2, .epochs = 2, .updates_per_epoch = 2}},
                               .engine = {.micro_batch = 2}});
  });
  check_same("ddpo, rows of several steps, KL, log-probabilities taken again", [=] {
    return make<DDPO, PerPrompt, KlToReference>(
        bright, {.sampler = {.num_steps = 4},
                 .objective = {.round = {.samples_per_prompt = 2, .rows = 5, .recompute_log_probs = true}},
                 .regularizer = {.weight = 0.2},
                 .engine = {.micro_batch = 3, .decode_batch = 2}});
  });
  check_same("ddpo, a step for each timestep", [=] {
    return make<DDPO>(bright, {.sampler = {.num_steps = 3},
                               .objective = {.round = {.step_per_timestep = true}},
                               .engine = {.micro_batch = 2}});
  });
  check_same("dpok with its value baseline",
             [=] { return make<DPOK>(bright, {.sampler = {.num_steps = 4}, .engine = {.micro_batch = 2}}); });
  check_same("grpo on a reward of groups", [] {
    return make<GRPO>(
        Variety(),
        {.sampler = {.num_steps = 3}, .objective = {.round = {.samples_per_prompt = 3}}, .engine = {.micro_batch = 4}});
  });
  check_same("lsrl without some scores", [] {
    return make<LSRL>(
        Silent(),
        {.sampler = {.num_steps = 3}, .objective = {.round = {.samples_per_prompt = 2}}, .engine = {.micro_batch = 3}});
  });
  check_same("b2-diffurl's branches", [=] {
    return make<B2DiffuRL>(bright, {.sampler = {.num_steps = 4},
                                    .steps = {.initial = 2},
                                    .branching = {.num_branches = 3},
                                    .engine = {.micro_batch = 4}});
  });
  check_same("dpo's pairs", [=] {
    return make<DPO>(bright,
                     {.sampler = {.num_steps = 3}, .branching = {.num_branches = 2}, .engine = {.micro_batch = 3}});
  });
  for (const bool frozen : {true, false})
    check_same("reward-weighted", [=] {
      return make<RewardWeightedTraining>(
          bright, {.sampler = {.num_steps = 3},
                   .objective = {.frozen = frozen, .noisings = 2, .round = {.samples_per_prompt = 2}},
                   .engine = {.micro_batch = 2}});
    });
  check_same("a weighted sum, part by part", [] {
    return make<LSRL>(
        weighted_sum({weighted(1.0, AnyReward(black_box_brightness())), weighted(0.5, AnyReward(ToyReward()))}),
        {.sampler = {.num_steps = 3}, .objective = {.round = {.samples_per_prompt = 2}}, .engine = {.micro_batch = 2}});
  });
}

TEST_CASE("several tasks do") {
  check_same("tasks", [] {
    return multi_task(
        {},
        task("bright", make<LSRL>(black_box_brightness(), {.sampler = {.num_steps = 3},
                                                           .objective = {.round = {.samples_per_prompt = 2}},
                                                           .engine = {.micro_batch = 2}})),
        task("toy",
             make<DRTune>(ToyReward(),
                          {.sampler = {.num_steps = 3}, .steps = {.num_trained = 2}, .engine = {.micro_batch = 2}})));
  });
}

TEST_CASE("a text encoder that is trained is, by every kind of gradient") {
  check_same<TextToy>("drtune", [] {
    return make<DRTune>(
        ToyReward(),
        {.sampler = {.num_steps = 4, .guidance = 3.0}, .steps = {.num_trained = 2}, .engine = {.micro_batch = 2}});
  });
  check_same<TextToy>("drtune within a budget", [] {
    return make<DRTune>(ToyReward(), {.sampler = {.num_steps = 4, .guidance = 3.0},
                                      .steps = {.num_trained = 2},
                                      .engine = {.micro_batch = 2, .memory = Memory::budget(1 << 30)}});
  });
  check_same<TextToy>("ddpo", [] {
    return make<DDPO>(black_box_brightness(), {.sampler = {.num_steps = 3},
                                               .objective = {.round = {.samples_per_prompt = 2, .rows = 5}},
                                               .engine = {.micro_batch = 2}});
  });
  check_same<TextToy>("reward-weighted", [] {
    return make<RewardWeightedTraining>(
        black_box_brightness(),
        {.sampler = {.num_steps = 3}, .objective = {.round = {.samples_per_prompt = 2}}, .engine = {.micro_batch = 2}});
  });
}

TEST_CASE("a reward that is not finite skips the update on all ranks, with the report of one process") {
  const auto tuner = [] {
    return make<DRTune>(differentiable([](const Tensor& images) {
                          const Tensor means = images.mean({1, 2, 3});
                          return at::where(means > means.mean() + 1, means,
                                           means / (means > -9).logical_not().to(at::kFloat));
                        }),
                        {.sampler = {.num_steps = 3}, .steps = {.num_trained = 1}, .engine = {.micro_batch = 2}});
  };
  const Held alone = held(tuner, 1).front();
  REQUIRE(alone.reports[0].skipped);
  for (const Held& rank : held(tuner, 3)) check_equal(alone, rank);
}

TEST_CASE("a reward that throws on one rank ends the others with an error, and leaves the weights") {
  const auto throwing = differentiable([](const RewardInput& input) {
    for (const std::string& one : input.prompts) REWARD_TUNER_CHECK(one != "a fish", "[Own] no fish");  // the last
    return input.images.mean({1, 2, 3});
  });
  constexpr int kRanks = 3;
  std::mutex mutex;
  std::vector<std::string> said(kRanks);
  std::vector<bool> moved(kRanks, true);
  const auto work = [&](const Ranks& ranks) {
    CaptionedToy pipeline(float_toy());
    AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-3});
    const std::vector<Tensor> before = copies(pipeline.parameters());
    auto tuner = make<DRTune>(throwing,
                              {.sampler = {.num_steps = 3}, .steps = {.num_trained = 1}, .engine = {.micro_batch = 2}});
    tuner.join(ranks);
    Rng rng(5);
    const auto rank = static_cast<std::size_t>(ranks.rank());
    try {
      tuner.update(pipeline, optimizer, kPrompts, rng);
    } catch (const Error& problem) {
      const std::lock_guard lock(mutex);
      said[rank] = problem.what();
      moved[rank] = !bit_equal(before, copies(pipeline.parameters()));
      throw;
    }
  };
  CHECK_THROWS_AS(on_ranks(kRanks, work), Error);
  CHECK(said[2].find("no fish") != std::string::npos);
  for (const std::size_t other : {0, 1})  // whom a rank waits for when it is told depends on the moment
    CHECK_MESSAGE(said[other].find(" is gone") != std::string::npos, said[other]);
  for (const bool one : moved) CHECK_FALSE(one);
}

TEST_CASE("a budget of memory is one decision: that of a process that is alone, whatever the number of ranks") {
  const auto with = [](Memory memory) {
    return [memory] {
      return make<DRTune>(ToyReward(), {.sampler = {.num_steps = 5, .guidance = 2.0},
                                        .steps = {.num_trained = 4, .max_early_stop = 0},
                                        .engine = {.micro_batch = 1, .memory = memory}});
    };
  };
  const std::int64_t least = held(with(Memory::kReplay), 1)[0].reports[1].peak_tensor_bytes;
  const std::int64_t most = held(with(Memory::kRetain), 1)[0].reports[1].peak_tensor_bytes;
  REQUIRE(most > least);
  int between = 0;
  for (int eighth = 0; eighth <= 8; ++eighth) {  // the number of kept steps changes from one to another
    const Memory memory = Memory::budget(least + (most - least) * eighth / 8);
    const Held alone = held(with(memory), 1)[0];
    REQUIRE(alone.state.retained_rows.has_value());
    CHECK(alone.reports[0].retained == 0);
    between += alone.reports[1].retained > 0 && alone.reports[1].retained < alone.reports[1].backwards;
    for (const int size : {2, 3})
      for (const Held& rank : held(with(memory), size)) {
        CAPTURE(size);
        CAPTURE(eighth);
        CHECK(rank.state.retained_rows == alone.state.retained_rows);
        check_equal(alone, rank);
        for (std::size_t i = 0; i < rank.reports.size(); ++i)
          CHECK(rank.reports[i].flops.total() == alone.reports[i].flops.total());
      }
  }
  CHECK(between >= 3);
}

TEST_CASE("an update that measures for a budget and is skipped leaves it to the next one, on every rank") {
  int calls = 0;
  std::mutex mutex;
  const auto make_tuner = [&] {
    const auto failing = [&](const RewardInput& input) {
      const std::lock_guard lock(mutex);
      return input.images.mean({1, 2, 3}) * (calls++ == 0 ? std::numeric_limits<double>::quiet_NaN() : 1);
    };
    return make<DRTune>(differentiable(failing), {.sampler = {.num_steps = 3},
                                                  .steps = {.num_trained = 2, .max_early_stop = 0},
                                                  .engine = {.micro_batch = 1, .memory = Memory::budget(1 << 30)}});
  };
  for (const Held& rank : held(make_tuner, 2)) {
    CHECK(rank.reports[0].skipped);
    CHECK(rank.reports[1].retained == 0);
    CHECK(rank.reports[2].retained == rank.reports[2].backwards);
  }
  CHECK(calls == 1 + 6 + 6);  // nobody scores an image twice
}

TEST_CASE("what ranks cannot divide is refused") {
  const auto refused = [](auto make_tuner, int size, const char* sentence) {
    CHECK_THROWS_WITH_AS(held(make_tuner, size), sentence, Error);
  };
  refused([] { return make<DRTune>(ToyReward(), {.sampler = {.num_steps = 3}, .steps = {.num_trained = 1}}); }, 2,
          "[Ranks] 2 ranks expected at least as many micro-batches of an update's 6 images, got 1: set "
          "engine.micro_batch to 3 or less, or start fewer ranks");
  refused(
      [] {
        return make<DDPO>(black_box_brightness(), {.sampler = {.num_steps = 3},
                                                   .objective = {.round = {.samples_per_prompt = 2}},
                                                   .engine = {.micro_batch = 6}});
      },
      3,
      "[Ranks] 3 ranks expected at least as many micro-batches of an update's 12 images, got 2: set "
      "engine.micro_batch to 4 or less, or start fewer ranks");
}

}  // namespace tuner_ranks_test
