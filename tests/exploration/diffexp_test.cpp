// DiffExp is its two halves over one span.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/exploration/diffexp.hpp>
#include <reward_tuner/exploration/no_exploration.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/optim/adamw.hpp>

#include <tests/reference/toy_pipeline.hpp>
#include <tests/reference/toy_reward.hpp>

namespace diffexp_test {
namespace {

using namespace reward_tuner;

template <class O>
concept HasSpan = requires(O o) { o.span; };
// one span cannot disagree with another
static_assert(HasSpan<DiffExpOptions> && !HasSpan<DiffExpGuidance> && !HasSpan<DiffExpWords>);

Condition condition() {
  Rng rng(17);
  return {{rng.normal({2, 8, 3}, at::kDouble)},
          {rng.normal({2, 8, 3}, at::kDouble)},
          {"a b", "c"},
          {{{1, 1}, {2, 3}}, {{1, 2}}},
          {rng.normal({1, 8, 3}, at::kDouble)}};
}

/// The toy pipeline with one word a prompt.
struct WordPipeline : reference::ToyPipeline {
  Condition encode(const std::vector<std::string>& prompts) {
    Condition out = ToyPipeline::encode(prompts);
    out.words.assign(prompts.size(), {{0, 1}});
    out.empty = out.negative.narrow(0, 1);
    return out;
  }
};

/// The first parameter after one update.
template <class Exploration, class Pipeline = WordPipeline>
Tensor tuned(typename Exploration::Options exploration) {
  Pipeline pipeline;
  AdamW optimizer(pipeline.parameters(), {.learning_rate = 0.05});
  auto tuner = make<DRTune, Exploration>(
      reference::ToyReward(),
      {.sampler = {.num_steps = 6, .guidance = 3.0}, .steps = {.num_trained = 3}, .exploration = exploration});
  tuner.plan(100);
  Rng rng(4);
  tuner.update(pipeline, optimizer, {"x", "y"}, rng);
  return pipeline.parameters()[0];
}

}  // namespace

TEST_CASE("an update explores through the tuner, and not at all with equal scales and weights of 1") {
  const Tensor plain = tuned<NoExploration>({});
  CHECK(tuned<DiffExp>({.guidance = {.low = 3.0}, .words = {.low = 1, .high = 1}}).equal(plain));
  CHECK_FALSE(tuned<DiffExp>({.guidance = {.low = 3.0}, .words = {.low = 1.2}}).equal(plain));
  CHECK_FALSE(tuned<DiffExp>({.guidance = {.low = 0.5}, .words = {.low = 1, .high = 1}}).equal(plain));
  CHECK_THROWS_WITH_AS((tuned<DiffExp, reference::ToyPipeline>({})),
                       doctest::Contains("needs a pipeline with word positions"), Error);
}

TEST_CASE("DiffExp gives the guidance of DynamicGuidance and the words of PromptWeighting") {
  const ExplorationSpan span{.share = 0.5, .updates = 12};
  const DiffExp both(
      {.guidance = {.low = 0.5, .high = 6.0, .threshold = 0.7}, .words = {.low = 1.1, .high = 1.3}, .span = span});
  const DynamicGuidance guidance({.low = 0.5, .high = 6.0, .threshold = 0.7, .span = span});
  const PromptWeighting words({.low = 1.1, .high = 1.3, .span = span});
  for (int k = 0; k < 20; ++k) CHECK(both.guidance(5.0, k, 20) == guidance.guidance(5.0, k, 20));
  Rng a(3), b(3);
  for (int i = 0; i < 20; ++i)
    CHECK(
        both.condition(condition(), a).positive.embeddings.equal(words.condition(condition(), b).positive.embeddings));
  for (std::int64_t update = 0; update < 15; ++update) {
    CHECK(both.active({.num_steps = 20, .update = update}) == (update < 6));
    CHECK(both.active({.num_steps = 20, .update = update}) == guidance.active({.num_steps = 20, .update = update}));
    CHECK(both.active({.num_steps = 20, .update = update}) == words.active({.num_steps = 20, .update = update}));
  }
}

TEST_CASE("DiffExp's defaults are those of its halves") {
  const DiffExp both;
  const DynamicGuidance guidance;
  for (int k = 0; k < 50; ++k) CHECK(both.guidance(7.5, k, 50) == guidance.guidance(7.5, k, 50));
  Rng a(3), b(3);
  CHECK(both.condition(condition(), a)
            .positive.embeddings.equal(PromptWeighting().condition(condition(), b).positive.embeddings));
  CHECK(both.active({.num_steps = 50, .update = 74, .planned = 100}));
  CHECK_FALSE(both.active({.num_steps = 50, .update = 75, .planned = 100}));
}

TEST_CASE("DiffExp rejects options out of range") {
  CHECK_THROWS_WITH_AS(DiffExp({.guidance = {.threshold = 2}}), "[DynamicGuidance] threshold must be in [0, 1], got 2",
                       Error);
  CHECK_THROWS_WITH_AS(DiffExp({.words = {.low = 2}}),
                       "[PromptWeighting] high must be finite and at least low 2, got 1.5", Error);
  CHECK_THROWS_WITH_AS(DiffExp({.span = {.updates = -3}}), "[DiffExp] span.updates must be >= 1, got -3", Error);
}

}  // namespace diffexp_test
