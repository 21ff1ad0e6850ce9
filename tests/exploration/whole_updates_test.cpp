// Exploration inside whole updates: nothing changes where it changes nothing, it ends on time, ratios start at 1,
// direct gradients flow through it, evaluation is plain.
#include <doctest/doctest.h>

#include <torch/autograd.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/exploration/diffexp.hpp>
#include <reward_tuner/exploration/dynamic_guidance.hpp>
#include <reward_tuner/exploration/prompt_weighting.hpp>
#include <reward_tuner/methods/alignprop.hpp>
#include <reward_tuner/methods/b2_diffurl.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/run/evaluation.hpp>

#include <tests/reference/toy_pipeline.hpp>
#include <tests/reference/toy_reward.hpp>
#include <tests/reference/unrolled.hpp>

namespace whole_updates_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

const std::vector<std::string> kPrompts = {"a red circle", "two blue squares", "a star"};

/// A toy pipeline that says where its two words are.
struct WordyPipeline : ToyPipeline {
  using ToyPipeline::ToyPipeline;
  Condition encode(const std::vector<std::string>& prompts) {
    Condition out = ToyPipeline::encode(prompts);
    out.words.assign(prompts.size(), {{0, 1}, {1, 1}});
    out.empty = out.negative.narrow(0, 1);
    return out;
  }
};

std::vector<Tensor> trained(auto tuner, int updates) {
  WordyPipeline pipeline;
  AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-3});
  tuner.plan(100);
  Rng rng(4);
  for (int i = 0; i < updates; ++i) tuner.update(pipeline, optimizer, kPrompts, rng);
  std::vector<Tensor> out;
  for (const Tensor& p : pipeline.parameters()) out.push_back(p.detach().clone());
  return out;
}
bool equal(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!a[i].equal(b[i])) return false;
  return true;
}

const DdimOptions kSampler{.num_steps = 6, .guidance = 3.0};
const DiffExpOptions kIdle{.guidance = {.low = 3.0, .threshold = 0.5}, .words = {.low = 1.0, .high = 1.0}};

}  // namespace
}  // namespace whole_updates_test

TEST_CASE("weight 1 and equal scales change no bit over several updates, for direct and sampled methods") {
  using namespace whole_updates_test;
  CHECK(equal(trained(make<DDPO, DiffExp>(black_box_brightness(), {.sampler = kSampler, .exploration = kIdle}), 4),
              trained(make<DDPO>(black_box_brightness(), {.sampler = kSampler}), 4)));
  CHECK(equal(trained(make<B2DiffuRL, DiffExp>(black_box_brightness(), {.sampler = kSampler, .exploration = kIdle}), 4),
              trained(make<B2DiffuRL>(black_box_brightness(), {.sampler = kSampler}), 4)));
  CHECK(equal(trained(make<AlignProp, DiffExp>(ToyReward(), {.sampler = kSampler, .exploration = kIdle}), 4),
              trained(make<AlignProp>(ToyReward(), {.sampler = kSampler}), 4)));
  CHECK(equal(trained(make<DRTune, DiffExp>(ToyReward(),
                                            {.sampler = kSampler, .steps = {.num_trained = 2}, .exploration = kIdle}),
                      4),
              trained(make<DRTune>(ToyReward(), {.sampler = kSampler, .steps = {.num_trained = 2}}), 4)));
}

TEST_CASE("exploration ends after its share of the planned updates: from then on every update is the plain one") {
  using namespace whole_updates_test;
  // explored updates, then plain ones by another tuner with the same memory
  const auto run = [](int plain_from, auto explored) {
    WordyPipeline pipeline;
    AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-3});
    Rng rng(4);
    auto plain = make<DDPO>(black_box_brightness(), {.sampler = kSampler});
    for (int i = 0; i < 6; ++i) {
      if (i < plain_from) {
        explored.update(pipeline, optimizer, kPrompts, rng);
      } else {
        if (i == plain_from) plain.load_state(explored.state());
        plain.update(pipeline, optimizer, kPrompts, rng);
      }
    }
    std::vector<Tensor> out;
    for (const Tensor& p : pipeline.parameters()) out.push_back(p.detach().clone());
    return out;
  };
  const auto explored = [](std::optional<std::int64_t> length = 6) {
    return make<DDPO, DiffExp>(black_box_brightness(), {.sampler = kSampler,
                                                        .exploration = {.guidance = {.low = 0.5, .threshold = 0.5},
                                                                        .words = {.low = 1.5, .high = 2.0},
                                                                        .span = {.share = 0.5, .updates = length}}});
  };
  CHECK(equal(run(6, explored()), run(3, explored())));
  CHECK_FALSE(equal(run(6, explored()), run(2, explored())));
  CHECK_FALSE(equal(run(6, explored()), run(0, explored())));
  // without a length of its own the span is a share of the run's
  auto told = explored({});
  CHECK_THROWS_WITH_AS(run(6, told),
                       "[DiffExp] span.updates expected a number, or the length of the run: a Trainer tells the tuner, "
                       "a loop of your own by tuner.plan(updates) before its first update; got neither",
                       Error);
  told.plan(6);
  CHECK(equal(run(6, told), run(3, explored())));
  told.plan(12);
  CHECK_FALSE(equal(run(6, told), run(3, explored())));
  CHECK_THROWS_WITH_AS(told.plan(0), "[RewardTuner] plan expected updates >= 1, got 0", Error);
}

TEST_CASE("explored or plain, old and new log-probabilities are of one condition: the first ratio is 1") {
  using namespace whole_updates_test;
  for (const RatioTarget target : {RatioTarget::kExplored, RatioTarget::kPlain}) {
    WordyPipeline pipeline({.side = 8, .dtype = at::kFloat});
    AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-3});
    Rng rng(4);
    auto tuner = make<DDPO, DiffExp>(
        black_box_brightness(),
        {.sampler = kSampler,
         .exploration = {.guidance = {.low = 0.5, .threshold = 0.5}, .words = {.low = 1.5, .high = 2.0}},
         .objective = {.round = {.target = target}}});
    tuner.plan(100);
    const UpdateReport report = tuner.update(pipeline, optimizer, kPrompts, rng);
    CHECK(report.ratio_deviation <= 1e-6);
    const std::int64_t once = 3 * 6;
    // plain: the old ones are evaluated once more
    CHECK(report.forward_samples == (target == RatioTarget::kPlain ? 3 : 2) * once);
  }
  // A round that stored one condition's log-probabilities and trained under another would show it.
  WordyPipeline pipeline;
  Rng rng(4);
  auto tuner = make<DDPO, DiffExp>(black_box_brightness(), {.sampler = kSampler,
                                                            .exploration = {.guidance = {.low = 0.5, .threshold = 0.5},
                                                                            .words = {.low = 1.5, .high = 2.0}}});
  tuner.plan(100);
  Round round = tuner.sample(pipeline, kPrompts, rng);
  round.transitions.setup.condition = pipeline.encode(kPrompts).select(at::arange(round.transitions.size()));
  AdamW optimizer(pipeline.parameters());
  const UpdateReport mixed = tuner.train(pipeline, optimizer, round, rng);
  CHECK(mixed.ratio_deviation > 1e-3);
  CHECK_FALSE(mixed.warning.empty());
}

TEST_CASE("direct gradients flow through explored guidance and embeddings: equal to the unrolled update under them") {
  using namespace whole_updates_test;
  const PlainSampler sampler{.eta = 0.5, .num_steps = 5};
  const auto compare = [&](auto tuner, bool stop, std::uint64_t seed) {
    WordyPipeline pipeline;
    pipeline.disturb(8, 0.05);
    struct Recorder {
      std::vector<Tensor> held, gradients;
      const std::vector<Tensor>& parameters() const { return held; }
      void zero_grad() {
        for (Tensor& p : held) p.mutable_grad().reset();
      }
      void step() {
        gradients.clear();
        for (const Tensor& p : held) gradients.push_back(p.grad().clone());
      }
    } recorder{pipeline.parameters(), {}};
    tuner.plan(100);
    Rng rng(seed), same(seed);
    const UpdateReport report = tuner.update(pipeline, recorder, kPrompts, rng);
    typename decltype(tuner)::StepSelection(tuner.options().steps).plan({.num_steps = 5}, same);
    const SampleNoise noise = SampleNoise::draw(3, same);
    Rng stream = Rng::derive(noise.seeds().front(), 0xE0);
    const Condition explored = DiffExp(tuner.options().exploration).condition(pipeline.encode(kPrompts), stream);
    CHECK_FALSE(explored.positive.embeddings.equal(pipeline.encode(kPrompts).positive.embeddings));
    const auto scales = tuner.guidance_scales(5);
    const UnrolledSetup setup{.sampler = sampler,
                              .plan = report.plan,
                              .stop_input = stop,
                              .guidance = 4.0,
                              .explored_guidance = {scales.begin(), scales.end()}};
    const auto truth = unrolled_update(pipeline, setup, explored, noise.narrow(0, 3), [&](const Tensor& clean) {
      return ToyReward().score({.images = pipeline.decode(clean), .prompts = kPrompts}).values;
    });
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < truth.gradients.size(); ++i) {
      difference += (recorder.gradients[i] - truth.gradients[i]).square().sum().template item<double>();
      size += truth.gradients[i].square().sum().template item<double>();
    }
    CHECK(std::sqrt(difference / size) < 1e-10);
  };
  const DiffExpOptions explore{.guidance = {.low = 1.0, .threshold = 0.5}, .words = {.low = 1.5, .high = 2.0}};
  const DdimOptions ddim{.num_steps = 5, .guidance = 4.0, .eta = 0.5};
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    compare(make<DRaFT, DiffExp>(
                ToyReward(),
                {.sampler = ddim, .steps = {.num_trained = 5}, .exploration = explore, .engine = {.gradient_clip = 0}}),
            false, seed);
    compare(make<DRTune, DiffExp>(
                ToyReward(),
                {.sampler = ddim, .steps = {.num_trained = 3}, .exploration = explore, .engine = {.gradient_clip = 0}}),
            true, seed);
  }
  auto scheduled =
      make<DRaFT, DynamicGuidance>(ToyReward(), {.sampler = ddim, .exploration = {.low = 1.5, .threshold = 0.5}});
  scheduled.plan(100);
  CHECK(scheduled.guidance_scales(5) == std::vector<double>{1.5, 1.5, 1.5, 4.0, 4.0});  // t = 5, 4, 3 are above 2.5
}

TEST_CASE("evaluation never explores") {
  using namespace whole_updates_test;
  WordyPipeline pipeline;
  const auto tuner = make<DDPO, DiffExp>(
      black_box_brightness(),
      {.sampler = kSampler,
       .exploration = {.guidance = {.low = 0.0, .threshold = 0.0}, .words = {.low = 2.0, .high = 2.0}}});
  const auto plain = make<DDPO>(black_box_brightness(), {.sampler = kSampler});
  const auto images = [&](const auto& of) {
    return evaluate(pipeline, of.sampler(), {{"a star", 1}, {"a moon", 2}}, {})->images;
  };
  CHECK(images(tuner).equal(images(plain)));
}
