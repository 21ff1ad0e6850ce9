// The vectors that rewards of one input share: found by what they are of, counted, and counted again in the report of
// an update.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/ops/ones.h>
#include <c10/core/InferenceMode.h>
#include <torch/types.h>

#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/shared_vectors.hpp>
#include <reward_tuner/rewards/weighted_sum.hpp>
#include <reward_tuner/tuner/multi_task.hpp>
#include <reward_tuner/tuner/update_report.hpp>

#include <tests/reference/toy_pipeline.hpp>

namespace shared_vectors_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

/// Mean brightness by a tower that rewards of the same `tower` share.
struct Brightness {
  using Role = RewardRole;
  static constexpr std::string_view kName = "brightness_of_tower";
  static constexpr bool kDifferentiable = true, kPerGroup = false;
  std::shared_ptr<const int> tower;
  RewardResult score(const RewardInput& input) const {
    return {input.vectors->get({.model = tower, .images = input.images},
                               [&] { return input.images.mean({1, 2, 3}); })};  // [B]
  }
};

/// Three rewards of two towers.
auto three() {
  const auto a = std::make_shared<const int>(1), b = std::make_shared<const int>(1);
  return weighted_sum(weighted(1.0, Brightness{a}), weighted(1.0, Brightness{b}), weighted(1.0, Brightness{a}));
}

template <class Tuner>
UpdateReport update(Tuner tuner) {
  ToyPipeline pipeline;
  AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-3});
  Rng rng(3);
  tuner.plan(10);
  return tuner.update(pipeline, optimizer, {"a", "b", "c", "d"}, rng);
}

}  // namespace

TEST_CASE("shared vectors: images that were written to since are other images") {
  SharedVectors vectors;
  const auto model = std::make_shared<const int>(1);
  const Tensor images = at::ones({1, 3, 2, 2});
  const auto mean = [&] {
    return vectors.get({.model = model, .images = images}, [&] { return images.mean(); }).item<float>();
  };
  CHECK(mean() == 1);
  images.mul_(0.5);  // a step of an ascent on pixels
  CHECK(mean() == 0.5);
  CHECK(mean() == 0.5);
  CHECK(vectors.counts().computed == 2);
  CHECK(vectors.counts().shared == 1);
}

TEST_CASE("shared vectors: one computation for equal keys, another for each difference") {
  SharedVectors vectors;
  const auto model = std::make_shared<const int>(1), other = std::make_shared<const int>(1);
  const Tensor images = at::ones({1, 3, 2, 2});
  int calls = 0;
  const auto get = [&](SharedVectors::Key key) { return vectors.get(key, [&] { return at::ones({1}) * ++calls; }); };
  const SharedVectors::Key key{.model = model, .images = images, .prompts = {"a"}, .preprocessing = "crop"};
  CHECK(get(key).is_same(get(key)));
  CHECK(calls == 1);
  SharedVectors::Key another = key;
  another.model = other;
  get(another);
  another = key;
  another.images = images.clone();  // equal numbers, but nobody compares them
  get(another);
  another = key;
  another.prompts = {"b"};
  get(another);
  another = key;
  another.preprocessing = "letterbox";
  get(another);
  CHECK(calls == 5);
  {
    const at::NoGradGuard no_grad;
    get(key);
    get(key);
  }
  CHECK(calls == 6);
  CHECK(vectors.counts().computed == 6);
  CHECK(vectors.counts().shared == 2);
  get({.model = model, .prompts = {"a"}});  // texts are kept and not counted
  get({.model = model, .prompts = {"a"}});
  CHECK(calls == 7);
  CHECK(vectors.counts().computed == 6);
  CHECK(vectors.counts().shared == 2);
}

TEST_CASE("shared vectors: those of inference mode stay in it") {
  SharedVectors vectors;
  const auto model = std::make_shared<const int>(1);
  const Tensor images = at::ones({1, 3, 2, 2});
  int calls = 0;
  for (const SharedVectors::Key& key :
       {SharedVectors::Key{.model = model, .prompts = {"a"}}, SharedVectors::Key{.model = model, .images = images}}) {
    const at::NoGradGuard no_grad;
    const auto get = [&] { return vectors.get(key, [&] { return at::ones({1}) * ++calls; }); };
    calls = 0;
    {
      const c10::InferenceMode inference;
      CHECK(get().is_same(get()));
      CHECK(calls == 1);
    }
    const Tensor outside = get();
    CHECK_FALSE(outside.is_inference());
    CHECK(get().is_same(outside));
    CHECK(calls == 2);
    const c10::InferenceMode inference;
    get();
    CHECK(calls == 2);
  }
  const c10::InferenceMode inference;  // images that do not tell whether they were written to
  const SharedVectors::Key key{.model = model, .images = at::ones({1, 3, 2, 2})};
  calls = 0;
  for (int i = 0; i < 2; ++i) vectors.get(key, [&] { return at::ones({1}) * ++calls; });
  CHECK(calls == 2);
}

TEST_CASE("shared vectors: an update reports the towers that ran and those that were spared") {
  const UpdateReport direct = update(
      make<DRTune>(three(), {.sampler = {.num_steps = 4}, .steps = {.num_trained = 1}, .engine = {.micro_batch = 2}}));
  CHECK(direct.towers.computed == 4);  // two towers, two micro-batches
  CHECK(direct.towers.shared == 2);
  const auto ddpo = [] {
    return make<DDPO>(
        three(),
        {.sampler = {.num_steps = 4}, .objective = {.round = {.updates_per_epoch = 1}}, .engine = {.decode_batch = 4}});
  };
  const UpdateReport round = update(ddpo());
  CHECK(round.towers.computed == 2);
  CHECK(round.towers.shared == 1);
  ToyPipeline pipeline;
  AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-3});
  Rng rng(3);
  auto both = multi_task({}, task("one", ddpo()), task("two", ddpo()));
  const UpdateReport tasks = both.update(pipeline, optimizer, {"a", "b", "c", "d"}, rng);
  CHECK(tasks.towers.computed == 4);
  CHECK(tasks.towers.shared == 2);
}

}  // namespace shared_vectors_test
