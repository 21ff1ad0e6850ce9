// AnyReward: the same answers as the reward it holds, value semantics, and the missing gradient as a run-time error.
#include <doctest/doctest.h>

#include <memory>
#include <string_view>
#include <vector>

#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>
#include <torch/types.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/aesthetic.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/rewards/brightness.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/clamped.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/rewards/colorfulness.hpp>
#include <reward_tuner/rewards/composition.hpp>
#include <reward_tuner/rewards/hps.hpp>
#include <reward_tuner/rewards/image_reward.hpp>
#include <reward_tuner/rewards/jpeg_error.hpp>
#include <reward_tuner/rewards/objectness.hpp>
#include <reward_tuner/rewards/parity.hpp>
#include <reward_tuner/rewards/pick_score.hpp>
#include <reward_tuner/rewards/random_shift.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/shared_vectors.hpp>
#include <reward_tuner/rewards/standardized.hpp>
#include <reward_tuner/rewards/symmetry.hpp>
#include <reward_tuner/rewards/weighted_sum.hpp>

#include <tests/reference/golden_reward_models.hpp>
#include <tests/rewards/golden_owl_vit.hpp>
#include <tests/rewards/reward_checks.hpp>

namespace any_reward_test {

using namespace reward_tuner;
using namespace reward_checks;

/// f of the images, which nothing checks.
template <class F>
struct Plain {
  using Role = RewardRole;
  static constexpr bool kDifferentiable = false, kPerGroup = false;
  static constexpr std::string_view kName = "plain";
  F f;
  RewardResult score(const RewardInput& input) const { return {f(input.images)}; }
};

TEST_CASE("any reward: name, traits, values and gradient of the held reward") {
  const AnyReward any(SymmetryReward{});
  CHECK(any.name() == "symmetry");
  CHECK(any.differentiable());
  CHECK_FALSE(any.per_group());
  const Tensor images = random_images(2, 6, 6, 1);
  CHECK(any.score({images, {"", ""}}).values.equal(SymmetryReward().score({images, {"", ""}}).values));
  const auto f = [&](const Tensor& x) { return any.score({x, {"", ""}}).values.sum(); };
  const auto direct = [&](const Tensor& x) { return SymmetryReward().score({x, {"", ""}}).values.sum(); };
  CHECK(gradient(f, images).equal(gradient(direct, images)));
}

TEST_CASE("any reward: groups and gradient are known however deep the reward is held") {
  const auto check = [](const AnyReward& held, bool groups, bool gradient) {
    const auto same = [&](const auto& reward) {
      CHECK(per_group(reward) == groups);
      CHECK(has_gradient(reward) == gradient);
      const AnyReward any(reward);
      CHECK((per_group(any) == groups && any.per_group() == groups && any.differentiable() == gradient));
    };
    const AnyReward one(SymmetryReward{});
    CHECK(per_group(held) == groups);
    same(clamped(held, 0, 1));
    same(standardized(held, 0, 1));
    same(randomly_shifted(held, 1));
    same(weighted_sum(weighted(1.0, one), weighted(1.0, held)));
    same(clamped(AnyReward(weighted_sum(weighted(1.0, held), weighted(2.0, SymmetryReward()))), 0, 1));
    const AnyReward list = weighted_sum({weighted(1.0, one), weighted(1.0, held)});
    CHECK((list.per_group() == groups && list.differentiable() == gradient));
  };
  check(AnyReward(SymmetryReward()), false, true);
  check(AnyReward(black_box([](const Tensor& images) { return images.mean({1, 2, 3}); })), false, false);
  check(AnyReward(parity(2, [](const Tensor& images) { return images.mean({1, 2, 3}).gt(0.5).to(at::kLong); })), true,
        false);
}

TEST_CASE("any reward: binding a CLIP leaves copies as they were") {
  AnyReward any(SymmetryReward({.text_weight = 1.0}));
  const AnyReward copy = any;
  any.bind_clip(tiny_clip(1));
  CHECK_FALSE(any.needs_clip());
  CHECK(copy.needs_clip());
  CHECK(any.score({random_images(1, 8, 8, 2), {"a"}}).components.contains("clip_score"));
}

TEST_CASE("any reward: a black box gives values, and a named error where a gradient is asked for") {
  const AnyReward any(black_box([](const Tensor& images) { return images.mean({1, 2, 3}); }));
  CHECK_FALSE(any.differentiable());
  Tensor images = random_images(2, 6, 6, 3);
  CHECK(any.score({images, {"", ""}}).values.size(0) == 2);
  images.requires_grad_();
  CHECK_THROWS_WITH_AS(any.score({images, {"", ""}}),
                       doctest::Contains("expected a reward with a gradient, got black_box"), Error);
  const torch::NoGradGuard no_grad;
  CHECK(any.score({images, {"", ""}}).values.size(0) == 2);
}

TEST_CASE("any reward: errors call the reward by its own name, asked now or for later") {
  const auto check = [](auto f, const char* sentence) {
    const RewardInput input{random_images(2, 6, 6, 4), {"", ""}};
    const AnyReward any(Plain<decltype(f)>{f}, "rows");
    CHECK_THROWS_WITH_AS(any.score(input), doctest::Contains(sentence), Error);
    CHECK_THROWS_WITH_AS(any.score_later(input), doctest::Contains(sentence), Error);
    const AnyReward held(clamped(any, 0, 1), "outer");
    CHECK_THROWS_WITH_AS(held.score(input), doctest::Contains(sentence), Error);
    CHECK_THROWS_WITH_AS(held.score_later(input).get(), doctest::Contains(sentence), Error);
    CHECK_THROWS_WITH_AS(weighted_sum(weighted(1.0, any), weighted(1.0, any)).score_later(input).get(),
                         doctest::Contains(sentence), Error);
  };
  check([](const Tensor& images) { return images.mean(); }, "(reward rows)");
  check([](const Tensor& images) { return images.mul_(2).mean({1, 2, 3}); },
        "the reward rows changed its images in place");
  check([](const Tensor& images) { return images.sum({1, 2, 3}).to(at::kLong); }, "(reward rows)");
}

TEST_CASE("any reward: under inference mode rewards give what they do without, and leave nothing behind for others") {
  const NoteScope quiet([](const std::string&) {});
  struct BlipFolder : golden::ModelFolder {
    BlipFolder() {
      copy("blip", {"config.json", "model.safetensors"});
      copy("word_piece", {"vocab.txt", "tokenizer_config.json"});
    }
  };
  const BlipFolder blip;
  const auto clip = tiny_clip(2);
  const auto owl = golden_owl_vit(at::kDouble);
  const SymmetryReward symmetry({.text_weight = 1.0}, clip);
  const std::vector<AnyReward> rewards{
      AnyReward(symmetry),
      AnyReward(BrightnessReward()),
      AnyReward(ColorfulnessReward()),
      AnyReward(JpegErrorReward()),
      AnyReward(ClipScoreReward(clip)),
      AnyReward(PickScoreReward(clip)),
      AnyReward(HpsReward(clip)),
      AnyReward(AestheticReward(AestheticHead({{at::ones({1, 6}, at::kDouble), at::zeros({1}, at::kDouble)}}), clip)),
      AnyReward(ImageReward::load(blip.path)),
      AnyReward(ObjectnessReward(owl)),
      AnyReward(CompositionReward(owl)),
      AnyReward(black_box([](const Tensor& images) { return images.amax({1, 2, 3}); })),
      AnyReward(parity(2, [](const Tensor& images) { return images.mean({1, 2, 3}).gt(0.5).to(at::kLong); })),
      AnyReward(clamped(symmetry, -50, 50)),
      AnyReward(standardized(ClipScoreReward(clip), 0.1, 2)),
      AnyReward(randomly_shifted(symmetry, 3)),
      weighted_sum({weighted(1.0, AnyReward(ClipScoreReward(clip))), weighted(2.0, AnyReward(symmetry))}),
  };
  RewardInput given{random_images(4, 18, 20, 5), {"a cat", "a cat", "a dog and a zebra", "a dog and a zebra"}};
  given.group_ids = at::tensor({0, 0, 1, 1}, at::kLong);
  given.seeds = {1, 2, 3, 4};
  for (const AnyReward& reward : rewards) {
    CAPTURE(reward.name());
    const auto fresh = [&](const Tensor& images) {
      RewardInput input = given;
      input.images = images;
      input.vectors = std::make_shared<SharedVectors>();
      return input;
    };
    const RewardResult want = reward.score(fresh(given.images));
    const auto same = [&](const RewardResult& got) {
      CHECK((got.values - want.values).abs().max().item<double>() < 1e-12);
      CHECK(got.components.size() == want.components.size());
      for (const auto& [name, values] : want.components)
        CHECK((got.components.at(name) - values).abs().max().item<double>() < 1e-12);
    };
    const RewardInput shared = fresh(given.images);
    Tensor made;
    {
      const c10::InferenceMode inference;
      same(reward.score(shared));
      made = given.images.clone();
      same(reward.score(fresh(made)));
      same(reward.score_later(fresh(made)).get());
    }
    REQUIRE(made.is_inference());
    const RewardInput outside = fresh(made);
    same(reward.score(outside));
    same(reward.score(outside));
    // the vectors of inference mode serve no gradient
    same(reward.score(shared));
    if (!reward.differentiable()) continue;
    const auto slope = [&](RewardInput input) {
      return gradient(
          [&](const Tensor& images) {
            input.images = images;
            return reward.score(input).values.sum();
          },
          given.images);
    };
    CHECK(relative_error(slope(shared), slope(fresh(given.images))) < 1e-12);
    CHECK(relative_error(slope(outside), slope(fresh(given.images))) < 1e-12);
  }
}

}  // namespace any_reward_test
