// Several tasks on one model: sampled from the same weights, equal to the loop written by hand, saved and loaded whole.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/methods/b2_diffurl.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/dpok.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/methods/lsrl.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/run/tuner_state_json.hpp>
#include <reward_tuner/tuner/multi_task.hpp>

#include <tests/reference/captioned_toy.hpp>
#include <tests/reference/same_run.hpp>
#include <tests/reference/small_run.hpp>
#include <tests/reference/tensor_lists.hpp>
#include <tests/reference/tiny_folder.hpp>
#include <tests/reference/toy_pipeline.hpp>
#include <tests/reference/toy_reward.hpp>

namespace multi_task_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

const std::vector<std::string> kPrompts = {"a red circle", "two blue squares", "a star", "a green moon"};

auto contrast() {
  return black_box([](const Tensor& images) { return images.flatten(1).std(1); });
}
auto broken() {
  return black_box(
      [](const Tensor& images) { return images.mean({1, 2, 3}) * std::numeric_limits<double>::quiet_NaN(); });
}

/// A stream of prompts with a position, as large prompt files are read.
struct Counting {
  struct State {
    std::int64_t epoch = 0, position = 0;
  };
  State at = {};
  State state() const { return at; }
  void load_state(State s) { at = s; }
  std::vector<std::string> draw(int count, Rng&) {
    std::vector<std::string> out;
    for (int i = 0; i < count; ++i) {
      out.push_back("prompt " + std::to_string(at.epoch) + "." + std::to_string(at.position));
      if (++at.position == 3) ++at.epoch, at.position = 0;
    }
    return out;
  }
};

/// Two tasks of the kind that learns from samples.
auto ddpo() {
  return make<DDPO>(black_box_brightness(), {.sampler = {.num_steps = 5, .guidance = 3.0},
                                             .objective = {.round = {.updates_per_epoch = 1}},
                                             .advantage = {.min_count = 2}});
}
auto b2() {
  return make<B2DiffuRL>(contrast(), {.sampler = {.num_steps = 5, .guidance = 3.0},
                                      .steps = {.initial = 2, .rounds = 4},
                                      .objective = {.round = {.updates_per_epoch = 1}},
                                      .branching = {.threshold = 0}});
}

}  // namespace
}  // namespace multi_task_test

TEST_CASE("all tasks are sampled from the same weights before any is trained, or one after another if told so") {
  using namespace multi_task_test;
  for (const bool first : {true, false})
    for (const std::uint64_t seed : {1, 2, 3}) {
      ToyPipeline pipeline;
      AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-4});
      std::vector<std::vector<Tensor>> seen;  // the weights at each scoring
      const auto watching = [&](auto value) {
        return black_box([&pipeline, &seen, value](const Tensor& images) {
          seen.push_back(copies(pipeline.parameters()));
          return value(images);
        });
      };
      const auto mean = [](const Tensor& images) { return images.mean({1, 2, 3}); };
      const auto spread = [](const Tensor& images) { return images.flatten(1).std(1); };
      const auto once = [](auto reward) {
        return make<DDPO>(reward, {.sampler = {.num_steps = 5}, .objective = {.round = {.updates_per_epoch = 1}}});
      };
      auto both = multi_task({.sample_all_first = first}, task("mean", once(watching(mean))),
                             task("spread", once(watching(spread))));
      const auto before = copies(pipeline.parameters());
      Rng rng(seed);
      const UpdateReport report = both.update(pipeline, optimizer, kPrompts, rng);
      REQUIRE(seen.size() == 2);
      CHECK(bit_equal(seen[0], before));
      CHECK(bit_equal(seen[1], before) == first);
      CHECK(report.optimizer_steps == 2);
      MESSAGE("sample_all_first ", first, ": the second task's first ratio is off by ", report.ratio_deviation);
      // the first task moved the weights: the stored log-probabilities tell
      if (first) CHECK(report.ratio_deviation > 1e-3);
      else CHECK(report.ratio_deviation < 1e-10);
      CHECK(report.warning.empty());  // which is as it should be
      CHECK(report.reward ==
            doctest::Approx((report.components.at("mean.reward") + report.components.at("spread.reward")) / 2)
                .epsilon(1e-14));
      CHECK(report.images == 8);
    }
}

TEST_CASE("rates of rows are means over the rows of all tasks: one without rows takes nothing off them") {
  using namespace multi_task_test;
  Rng rng(3);
  CaptionedToy pipeline;
  pipeline.disturb(4, 0.05);
  AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-3});
  const auto ddpo = [](double factor) {
    return make<DDPO>(black_box([factor](const Tensor& images) { return factor * images.mean({1, 2, 3}); }),
                      {.sampler = {.num_steps = 4}, .objective = {.round = {.epochs = 2, .updates_per_epoch = 1}}});
  };
  auto direct = make<DRTune>(ToyReward(), {.sampler = {.num_steps = 4}, .steps = {.num_trained = 1}});
  auto beside = multi_task({}, task("rows", ddpo(1)), task("none", direct), task("idle", ddpo(0)));
  const UpdateReport report = beside.update(pipeline, optimizer, kPrompts, rng);
  REQUIRE(policy_rows(report) > 0);
  CHECK_FALSE(report.idle_reason.empty());
  CHECK(std::abs(report.ratio_mean - 1) < 0.1);
  CHECK(report.ratio_std > 0);
  double clipped = 0, change = 0;
  for (const StepReport& step : report.steps) {
    clipped += static_cast<double>(step.rows) * step.clip_fraction;
    change += static_cast<double>(step.rows) * step.policy_change;
  }
  const auto rows = static_cast<double>(policy_rows(report));
  CHECK(report.clip_fraction == doctest::Approx(clipped / rows));
  CHECK(report.policy_change == doctest::Approx(change / rows));
  CHECK(report.clip_fraction == doctest::Approx(report.clip_fraction_low + report.clip_fraction_high));
}

TEST_CASE("an update equals the loop written by hand bit for bit") {
  using namespace multi_task_test;
  for (const bool first : {true, false})
    for (const std::uint64_t seed : {1, 2, 3}) {
      ToyPipeline mine, plain;
      AdamW my_optimizer(mine.parameters(), {.learning_rate = 1e-3}),
          plain_optimizer(plain.parameters(), {.learning_rate = 1e-3});
      Rng my_rng(seed), plain_rng(seed);
      const PromptSet set({"x", "y", "z"});
      auto both = multi_task({.sample_all_first = first}, task("one", ddpo()), task("two", b2(), set, 2));
      auto one = ddpo();
      auto two = b2();
      for (int i = 0; i < 3; ++i) {
        const UpdateReport report = both.update(mine, my_optimizer, kPrompts, my_rng);
        CHECK(report.update == i + 1);
        UpdateReport a, b;
        if (first) {
          Round round_one = one.sample(plain, kPrompts, plain_rng),
                round_two = two.sample(plain, set.draw(2, plain_rng), plain_rng);
          a = one.train(plain, plain_optimizer, std::move(round_one), plain_rng);
          b = two.train(plain, plain_optimizer, std::move(round_two), plain_rng);
        } else {
          a = one.update(plain, plain_optimizer, kPrompts, plain_rng);
          b = two.update(plain, plain_optimizer, set.draw(2, plain_rng), plain_rng);
        }
        CHECK(bit_equal(mine.parameters(), plain.parameters()));
        CHECK(report.loss == a.loss + b.loss);
        CHECK(report.forwards == a.forwards + b.forwards);
        CHECK(report.forward_samples == a.forward_samples + b.forward_samples);
        CHECK(report.backward_samples == a.backward_samples + b.backward_samples);
        CHECK(report.kept == a.kept + b.kept);
        CHECK(report.components.at("one.reward") == a.reward);
        CHECK(report.components.at("two.reward") == b.reward);
        REQUIRE(report.steps.size() == a.steps.size() + b.steps.size());
        CHECK(report.steps.front().task == "one");
        CHECK(report.steps.back().task == "two");
        CHECK(report.steps.back().cotangent_norm == b.steps.back().cotangent_norm);
      }
      CHECK(both.state().tasks[0] == one.state());
      CHECK(both.state().tasks[1] == two.state());
    }
}

TEST_CASE("a task that differentiates its reward takes its turn beside those that learn from samples") {
  using namespace multi_task_test;
  for (const bool first : {true, false}) {
    ToyPipeline mine, plain;
    AdamW my_optimizer(mine.parameters(), {.learning_rate = 1e-3}),
        plain_optimizer(plain.parameters(), {.learning_rate = 1e-3});
    Rng my_rng(4), plain_rng(4);
    const auto direct = [] {
      return make<DRTune>(ToyReward(), {.sampler = {.num_steps = 5}, .steps = {.num_trained = 2}});
    };
    auto mixed =
        multi_task({.sample_all_first = first}, task("direct", direct(), GivenPrompts(), 2), task("sampled", ddpo()));
    auto one = direct();
    auto two = ddpo();
    const std::vector<std::string> some(kPrompts.begin(), kPrompts.begin() + 2);
    for (int i = 0; i < 3; ++i) {
      const auto report = mixed.update(mine, my_optimizer, kPrompts, my_rng);
      if (first) {
        Round round = two.sample(plain, kPrompts, plain_rng);
        one.update(plain, plain_optimizer, some, plain_rng);
        two.train(plain, plain_optimizer, std::move(round), plain_rng);
      } else {
        one.update(plain, plain_optimizer, some, plain_rng);
        two.update(plain, plain_optimizer, kPrompts, plain_rng);
      }
      CHECK(bit_equal(mine.parameters(), plain.parameters()));
      CHECK(report.components.contains("direct.square"));
      CHECK(report.optimizer_steps == 2);
    }
  }
}

TEST_CASE("the pre-training loss is descended last, by a step of its own") {
  using namespace multi_task_test;
  for (const auto mode : {PretrainingMode::kJoint, PretrainingMode::kAlternating})
    for (const std::uint64_t seed : {1, 2, 3}) {
      CaptionedToy mine, plain;
      StepRecorder my_steps{mine.parameters()}, plain_steps{plain.parameters()};
      Rng my_rng(seed), plain_rng(seed);
      const PretrainingLossOptions options{.images = captioned_images(), .weight = 0.7, .batch = 5, .mode = mode};
      auto both = multi_task({.pretraining = options, .gradient_clip = 0}, task("one", ddpo()), task("two", b2()));
      const UpdateReport report = both.update(mine, my_steps, kPrompts, my_rng);
      auto one = ddpo();
      auto two = b2();
      Round round_one = one.sample(plain, kPrompts, plain_rng), round_two = two.sample(plain, kPrompts, plain_rng);
      const auto a = one.train(plain, plain_steps, std::move(round_one), plain_rng),
                 b = two.train(plain, plain_steps, std::move(round_two), plain_rng);
      const Tensor loss = PretrainingLoss(options).own_loss(plain, plain_rng);
      const auto gradients = torch::autograd::grad({loss}, {plain.parameters().begin(), plain.parameters().end()});
      REQUIRE(my_steps.steps.size() == 3);
      CHECK(bit_equal(my_steps.steps[0], plain_steps.steps[0]));
      CHECK(bit_equal(my_steps.steps[1], plain_steps.steps[1]));
      for (std::size_t i = 0; i < gradients.size(); ++i)
        CHECK((my_steps.steps[2][i] - gradients[i]).abs().max().item<double>() < 1e-14);
      CHECK(report.regularizer == doctest::Approx(loss.item<double>()).epsilon(1e-14));
      CHECK(report.loss == doctest::Approx(a.loss + b.loss + loss.item<double>()).epsilon(1e-14));
      CHECK(report.optimizer_steps == 3);
      CHECK(report.forwards == a.forwards + b.forwards + 1);
      CHECK(report.backwards == a.backwards + b.backwards + 1);
    }
}

TEST_CASE(
    "pre-training in a pipeline that cannot encode images is a named error, and its gradient's failure a warning "
    "beside the tasks'") {
  using namespace multi_task_test;
  ToyPipeline toy;
  AdamW optimizer(toy.parameters());
  Rng rng(1);
  auto wants = multi_task({.pretraining = {.images = captioned_images()}}, task("one", ddpo()));
  CHECK_THROWS_WITH_AS(wants.update(toy, optimizer, kPrompts, rng),
                       "[MultiTask] pretraining needs a pipeline with Tensor encode_images(const Tensor& images), "
                       "and this one has none",
                       Error);

  CaptionedToy pipeline;
  StepRecorder steps{pipeline.parameters()};
  // after the task's step
  pipeline.parameters()[4].register_hook(
      [&](const Tensor& g) { return steps.steps.empty() ? g : g * std::numeric_limits<double>::infinity(); });
  auto one = multi_task({.pretraining = {.images = captioned_images()}}, task("one", ddpo()));
  const auto report = one.update(pipeline, steps, kPrompts, rng);
  CHECK(report.warning == "the gradient of the pre-training loss is not finite; the tasks' steps were made");
  CHECK(report.optimizer_steps == 1);
  CHECK(steps.steps.size() == 1);
}

TEST_CASE("a task that fails is skipped alone; an update is skipped when all are") {
  using namespace multi_task_test;
  ToyPipeline pipeline;
  AdamW optimizer(pipeline.parameters());
  Rng rng(1);
  const auto bad = [] { return make<DDPO>(broken(), {.sampler = {.num_steps = 4}}); };
  auto half = multi_task({}, task("sound", ddpo()), task("broken", bad()));
  const auto one = half.update(pipeline, optimizer, kPrompts, rng);
  CHECK_FALSE(one.skipped);
  CHECK(one.optimizer_steps == 1);
  CHECK(one.skip_reason == "broken: the reward is not finite");
  CHECK(one.skipped_updates == 1);
  const auto before = copies(pipeline.parameters());
  auto none = multi_task({}, task("a", bad()), task("b", bad()));
  const auto all = none.update(pipeline, optimizer, kPrompts, rng);
  CHECK(all.skipped);
  CHECK(all.skip_reason == "a: the reward is not finite; b: the reward is not finite");
  CHECK(bit_equal(pipeline.parameters(), before));
  CHECK(none.state().skipped == 2);
}

TEST_CASE("an update that is skipped pre-trains nothing; one in which a weight moved is not called skipped") {
  using namespace multi_task_test;
  const PretrainingLossOptions data{.images = captioned_images(), .batch = 3};
  const auto bad = [] { return make<DDPO>(broken(), {.sampler = {.num_steps = 4}}); };
  {
    CaptionedToy pipeline;
    StepRecorder steps{pipeline.parameters()};
    Rng rng(1);
    auto none = multi_task({.pretraining = data}, task("a", bad()), task("b", bad()));
    const UpdateReport report = none.update(pipeline, steps, kPrompts, rng);
    CHECK(report.skipped);
    CHECK(steps.steps.empty());
    CHECK(report.optimizer_steps == 0);
    CHECK(report.regularizer == 0);
    auto half = multi_task({.pretraining = data}, task("a", bad()), task("b", ddpo()));
    CHECK(half.update(pipeline, steps, kPrompts, rng).optimizer_steps == 2);
    CHECK(steps.steps.size() == 2);
  }
  // a gradient that fails at the second optimizer step of the only task's round
  CaptionedToy pipeline;
  StepRecorder steps{pipeline.parameters()};
  pipeline.parameters()[4].register_hook(
      [&](const Tensor& g) { return steps.steps.empty() ? g : g * std::numeric_limits<double>::infinity(); });
  Rng rng(1);
  auto one = multi_task(
      {}, task("a", make<DDPO>(black_box_brightness(),
                               {.sampler = {.num_steps = 4}, .objective = {.round = {.updates_per_epoch = 2}}})));
  const UpdateReport report = one.update(pipeline, steps, kPrompts, rng);
  REQUIRE(steps.steps.size() == 1);
  CHECK_FALSE(report.skipped);
  CHECK(report.skip_reason.starts_with("a: the gradient of the parameters is not finite at optimizer step 2"));
  CHECK(report.skipped_updates == 1);
}

TEST_CASE("the norm of the pre-training step's gradient is reported beside the tasks'") {
  using namespace multi_task_test;
  CaptionedToy pipeline;
  StepRecorder steps{pipeline.parameters()};
  Rng rng(2);
  auto both = multi_task({.pretraining = {.images = captioned_images(), .batch = 3}, .gradient_clip = 0},
                         task("one", ddpo()), task("two", b2()));
  const UpdateReport report = both.update(pipeline, steps, kPrompts, rng);
  double squares = 0;
  for (const Tensor& g : steps.steps.back()) squares += g.square().sum().item<double>();
  CHECK(report.regularizer_gradient_norm == doctest::Approx(std::sqrt(squares)).epsilon(1e-12));
  CHECK(report.gradient_norm != report.regularizer_gradient_norm);
}

TEST_CASE("an update that a reward's exception ended does not count, and leaves no trace in the next one's report") {
  using namespace multi_task_test;
  ToyPipeline pipeline;
  AdamW optimizer(pipeline.parameters());
  Rng rng(1);
  bool fails = true;
  const auto moody = black_box([&fails](const Tensor& images) {
    if (fails) throw std::runtime_error("the detector is on holiday");
    return images.mean({1, 2, 3});
  });
  auto tasks =
      multi_task({.sample_all_first = false}, task("broken", make<DDPO>(broken(), {.sampler = {.num_steps = 4}})),
                 task("moody", make<DDPO>(moody, {.sampler = {.num_steps = 4}})));
  const auto before = copies(pipeline.parameters());
  CHECK_THROWS_WITH_AS(tasks.update(pipeline, optimizer, kPrompts, rng),
                       "[RewardPolicy] the reward black_box threw: the detector is on holiday", Error);
  CHECK(bit_equal(pipeline.parameters(), before));
  fails = false;
  const auto report = tasks.update(pipeline, optimizer, kPrompts, rng);
  CHECK(report.update == 1);
  CHECK_FALSE(report.skipped);
}

TEST_CASE("a task that throws leaves what the tasks before it remember as it was") {
  using namespace multi_task_test;
  ToyPipeline pipeline;
  AdamW optimizer(pipeline.parameters());
  Rng rng(1);
  bool fails = false;
  const auto moody = black_box([&fails](const Tensor& images) {
    if (fails) throw std::runtime_error("the detector is on holiday");
    return images.mean({1, 2, 3});
  });
  auto tasks = multi_task({}, task("history", ddpo()), task("moody", make<DDPO>(moody, {.sampler = {.num_steps = 4}})));
  tasks.update(pipeline, optimizer, kPrompts, rng);
  const TunerState before = tasks.state();
  REQUIRE_FALSE(before.tasks[0].history.rounds.empty());
  fails = true;
  CHECK_THROWS_AS(tasks.update(pipeline, optimizer, kPrompts, rng), Error);
  CHECK(tasks.state() == before);
}

TEST_CASE("the state of every task, its prompts' position included, continues a run bit for bit") {
  using namespace multi_task_test;
  for (const bool first : {true, false}) {
    const auto fresh = [&] {
      return multi_task(
          {.sample_all_first = first}, task("history", ddpo()), task("window", b2(), Counting(), 2),
          task("baseline", make<DPOK>(black_box_brightness(), {.sampler = {.num_steps = 4}}), Counting(), 3));
    };
    const auto run = [&](bool interrupted) {
      ToyPipeline pipeline;
      AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-3});
      Rng rng(3);
      auto tasks = fresh();
      for (int i = 0; i < 4; ++i) {
        if (interrupted && i == 2) {
          const TunerState state = tasks.state();
          std::map<std::string, Tensor> tensors;
          add_tensors(state, tensors);
          auto other = fresh();
          other.load_state(tuner_state_from_json(nlohmann::json::parse(to_json(state).dump()), tensors));
          CHECK(other.state() == state);
          tasks = other;
        }
        tasks.update(pipeline, optimizer, kPrompts, rng);
      }
      return std::pair(copies(pipeline.parameters()), tasks.state());
    };
    const auto whole = run(false), resumed = run(true);
    CHECK(bit_equal(whole.first, resumed.first));
    CHECK(whole.second == resumed.second);
    CHECK(whole.second.updates == 4);
    CHECK(whole.second.tasks[0].prompt_position.empty());
    CHECK(whole.second.tasks[1].prompt_position == std::vector<std::int64_t>{2, 2});  // 8 prompts by threes
    CHECK(whole.second.tasks[2].tensors.size() == 24);
    CHECK_FALSE(whole.second.tasks[0].history.rounds.empty());
  }
}

TEST_CASE("tasks and states that do not fit are named errors") {
  using namespace multi_task_test;
  CHECK_THROWS_WITH_AS(multi_task({}, task("", ddpo())),
                       "[MultiTask] expected tasks of different names, got '' as number 1", Error);
  CHECK_THROWS_WITH_AS(multi_task({}, task("a", ddpo()), task("a", b2())),
                       "[MultiTask] expected tasks of different names, got 'a' as number 2", Error);
  CHECK_THROWS_WITH_AS(multi_task({}, task("a", ddpo(), GivenPrompts(), -1)),
                       "[MultiTask] batch of the task a must be >= 0 (0: as many as the update is given), got -1",
                       Error);
  CHECK_THROWS_WITH_AS(multi_task({.gradient_clip = -1}, task("a", ddpo())),
                       "[MultiTask] gradient_clip must be >= 0 (0: no clipping), got -1", Error);
  CHECK_THROWS_WITH_AS(multi_task({.pretraining = {.batch = 0}}, task("a", ddpo())),
                       "[PretrainingLoss] batch must be >= 1, got 0", Error);
  auto one = multi_task({}, task("a", ddpo(), Counting()));
  CHECK_THROWS_WITH_AS(one.load_state({}), "[MultiTask] state expected 1 tasks, got 0", Error);
  CHECK_THROWS_WITH_AS(one.load_state({.tasks = {TunerState{}}}),
                       "[MultiTask] state of the task a expected the position of its prompt stream, got none", Error);
}

TEST_CASE("what an evaluation reports are the tasks' rewards under their names") {
  using namespace multi_task_test;
  const auto tasks = multi_task({}, task("mean", ddpo()), task("spread", b2()));
  const auto rewards = tasks.evaluation_rewards();
  REQUIRE(rewards.size() == 2);
  CHECK(rewards[0].name == "mean");
  CHECK(rewards[1].name == "spread");
  const Tensor images = Rng(1).uniform({2, 3, 4, 4});
  CHECK(rewards[1].reward.score({.images = images, .prompts = {"a", "b"}}).values.equal(images.flatten(1).std(1)));
  CHECK(tasks.sampler().guidance() == 3.0);
  int visited = 0;
  tasks.each([&](const auto& t) { visited += t.name == "mean" || t.name == "spread" ? 1 : 0; });
  CHECK(visited == 2);
}

TEST_CASE("a run of several tasks that was killed and resumed equals an uninterrupted one byte for byte") {
  using namespace multi_task_test;
  const TinyModel model;
  const auto tasks = [] {
    return multi_task({},
                      task("symmetry", make<DDPO>(SymmetryReward(), {.sampler = {.num_steps = 4, .guidance = 2.0},
                                                                     .objective = {.clip = 1e-2}})),
                      task("mean", make<DPOK>(black_box_brightness(), {.sampler = {.num_steps = 4, .guidance = 1.0}}),
                           PromptSet({"a red ring", "a blue star"}), 3));
  };
  check_resumes(model.path(), tasks);
}
