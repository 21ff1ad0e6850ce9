// The guidance schedule: which steps are low, the span, whole updates against NoExploration, and options.
#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/exploration/diffexp.hpp>
#include <reward_tuner/exploration/dynamic_guidance.hpp>
#include <reward_tuner/exploration/no_exploration.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/optim/adamw.hpp>

#include <tests/reference/toy_pipeline.hpp>
#include <tests/reference/toy_reward.hpp>

namespace dynamic_guidance_test {
namespace {

using namespace reward_tuner;

std::vector<double> scales(const DynamicGuidance& policy, double scale, int T) {
  std::vector<double> out;
  for (int k = 0; k < T; ++k) out.push_back(policy.guidance(scale, k, T));
  return out;
}

/// The trained parameters after two updates, one after another.
template <class Exploration>
std::vector<Tensor> tuned(typename Exploration::Options exploration) {
  reference::ToyPipeline pipeline;
  AdamW optimizer(pipeline.parameters(), {.learning_rate = 0.05});
  auto tuner = make<DRTune, Exploration>(
      reference::ToyReward(),
      {.sampler = {.num_steps = 6, .guidance = 3.0}, .steps = {.num_trained = 3}, .exploration = exploration});
  tuner.plan(100);
  Rng rng(4);
  for (int i = 0; i < 2; ++i) tuner.update(pipeline, optimizer, {"x", "y"}, rng);
  return pipeline.parameters();
}

bool equal(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  bool same = a.size() == b.size();
  for (std::size_t i = 0; same && i < a.size(); ++i) same = a[i].equal(b[i]);
  return same;
}

}  // namespace

TEST_CASE("guidance is low while t is above the threshold") {
  // t = 4, 3, 2, 1
  CHECK(scales(DynamicGuidance({.low = 1.0, .threshold = 0.5}), 5.0, 4) == std::vector<double>{1, 1, 5, 5});
  CHECK(scales(DynamicGuidance({.low = 0.0, .high = 7.5, .threshold = 0.5}), 5.0, 4) ==
        std::vector<double>{0, 0, 7.5, 7.5});
  CHECK(scales(DynamicGuidance({.threshold = 1.0}), 5.0, 4) == std::vector<double>(4, 5.0));
  CHECK(scales(DynamicGuidance({.threshold = 0.0}), 5.0, 4) == std::vector<double>(4, 1.0));
  CHECK(scales(DynamicGuidance(), 5.0, 1) == std::vector<double>{1});
  for (const int T : {10, 20, 25, 50, 100})
    for (int percent = 0; percent <= 100; ++percent) {  // against whole numbers, which do not round
      const DynamicGuidance policy({.low = 1.0, .threshold = percent / 100.0});
      for (int k = 0; k < T; ++k) REQUIRE(policy.guidance(5.0, k, T) == ((T - k) * 100 > percent * T ? 1.0 : 5.0));
    }
}

TEST_CASE("the guidance schedule acts for a share of the planned updates") {
  const auto active = [](ExplorationSpan span) {
    const DynamicGuidance policy({.span = span});
    std::int64_t count = 0;
    for (std::int64_t update = 0; update < span.updates.value_or(100) + 10; ++update)
      // the first ones, without a gap
      if (policy.active({.num_steps = 20, .update = update, .planned = 100})) REQUIRE(update == count++);
    return count;
  };
  CHECK(active({}) == 75);                             // of the run's 100
  CHECK(active({.share = 0.75, .updates = 10}) == 8);  // 7.5 begins an eighth
  CHECK(active({.share = 0, .updates = 10}) == 0);
  CHECK(active({.share = 1, .updates = 10}) == 10);
  CHECK(active({.share = 0.5, .updates = 1}) == 1);
  for (int percent = 0; percent <= 100; ++percent)
    REQUIRE(active({.share = percent / 100.0, .updates = 100}) == percent);
}

TEST_CASE("equal scales train bit for bit as NoExploration, and other scales do not") {
  const auto plain = tuned<NoExploration>({});
  CHECK(equal(tuned<DynamicGuidance>({.low = 3.0}), plain));
  CHECK(equal(tuned<DynamicGuidance>({.low = 3.0, .high = 3.0}), plain));
  CHECK(equal(tuned<DynamicGuidance>({.threshold = 1.0}), plain));
  CHECK_FALSE(equal(tuned<DynamicGuidance>({.low = 1.0, .threshold = 0.9}), plain));
}

TEST_CASE("the guidance schedule leaves the condition and the random stream alone") {
  reference::ToyPipeline pipeline;
  const Condition given = pipeline.encode({"a", "b"});
  Rng rng(1), twin(1);
  const Condition out = DynamicGuidance().condition(given, rng);
  CHECK(out.positive.embeddings.is_same(given.positive.embeddings));
  CHECK(out.negative.embeddings.is_same(given.negative.embeddings));
  CHECK(out.prompts == given.prompts);
  CHECK(rng.bits() == twin.bits());
}

TEST_CASE("a low scale above the sampler's is refused where high is unset, before anything runs") {
  const DynamicGuidance policy({.low = 6, .threshold = 0.5});
  CHECK_THROWS_WITH_AS(policy.guidance(5.0, 0, 4),
                       "[DynamicGuidance] low must be at most the sampler's guidance 5 where high is unset, got 6",
                       Error);
  CHECK_THROWS_AS(policy.guidance(5.0, 3, 4), Error);
  CHECK(policy.guidance(6.0, 0, 4) == 6);
  CHECK(DynamicGuidance({.low = 6, .high = 7}).guidance(5.0, 0, 4) == 6);
  CHECK(DynamicGuidance().guidance(0.5, 0, 4) == 1);  // both mean the condition alone
  const auto tuner = [](auto exploration) {
    return make<DRTune, DynamicGuidance>(
        reference::ToyReward(),
        {.sampler = {.num_steps = 6, .guidance = 3.0}, .steps = {.num_trained = 3}, .exploration = exploration});
  };
  CHECK_THROWS_WITH_AS(tuner(DynamicGuidanceOptions{.low = 4}),
                       "[DynamicGuidance] low must be at most the sampler's guidance 3 where high is unset, got 4",
                       Error);
  CHECK_NOTHROW(tuner(DynamicGuidanceOptions{.low = 4, .high = 5}));
  CHECK_THROWS_AS((make<DRTune, DiffExp>(reference::ToyReward(), {.sampler = {.num_steps = 6, .guidance = 3.0},
                                                                  .steps = {.num_trained = 3},
                                                                  .exploration = {.guidance = {.low = 4}}})),
                  Error);
}

TEST_CASE("DynamicGuidance rejects options out of range") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH_AS(DynamicGuidance({.low = -0.5}), "[DynamicGuidance] low must be finite and >= 0, got -0.5",
                       Error);
  CHECK_THROWS_AS(DynamicGuidance({.low = nan}), Error);
  CHECK_THROWS_WITH_AS(DynamicGuidance({.low = 2, .high = 1.5}),
                       "[DynamicGuidance] high must be finite and at least low 2, got 1.5", Error);
  CHECK_THROWS_AS(DynamicGuidance({.high = infinity}), Error);
  CHECK_THROWS_WITH_AS(DynamicGuidance({.threshold = 1.5}), "[DynamicGuidance] threshold must be in [0, 1], got 1.5",
                       Error);
  CHECK_THROWS_AS(DynamicGuidance({.threshold = nan}), Error);
  CHECK_THROWS_WITH_AS(DynamicGuidance({.span = {.share = 1.1}}),
                       "[DynamicGuidance] span.share must be in [0, 1], got 1.1", Error);
  CHECK_THROWS_AS(DynamicGuidance({.span = {.share = nan}}), Error);
  CHECK_THROWS_WITH_AS(DynamicGuidance({.span = {.updates = 0}}), "[DynamicGuidance] span.updates must be >= 1, got 0",
                       Error);
}

}  // namespace dynamic_guidance_test
