// WeightedSum: values, names of components, gradient, and the CLIP handed to its parts.
#include <doctest/doctest.h>

#include <c10/core/InferenceMode.h>

#include <limits>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/clamped.hpp>
#include <reward_tuner/rewards/random_shift.hpp>
#include <reward_tuner/rewards/standardized.hpp>
#include <reward_tuner/rewards/symmetry.hpp>
#include <reward_tuner/rewards/weighted_sum.hpp>

#include <tests/rewards/later_checks.hpp>
#include <tests/rewards/reward_checks.hpp>

namespace weighted_sum_test {
namespace {

using namespace reward_tuner;
using namespace reward_checks;

Tensor mean_of(const Tensor& images) { return images.mean({1, 2, 3}); }
Tensor peak_of(const Tensor& images) { return images.amax({1, 2, 3}); }

}  // namespace

TEST_CASE("weighted sum: values and every part's own value and components") {
  const RewardInput input{random_images(3, 8, 8, 1), {"a", "b", "c"}};
  const auto clip = tiny_clip(4);
  const auto sum =
      weighted_sum(weighted(2.0, SymmetryReward({.text_weight = 0.5}, clip)), weighted(-0.5, ClipScoreReward(clip)),
                   weighted(1.0, differentiable(&mean_of)), weighted(3.0, differentiable(&peak_of)));
  const RewardResult result = sum.score(input);
  const RewardResult symmetry = SymmetryReward({.text_weight = 0.5}, clip).score(input),
                     text = ClipScoreReward(clip).score(input);
  CHECK(relative_error(result.values, 2 * symmetry.values - 0.5 * text.values + mean_of(input.images) +
                                          3 * peak_of(input.images)) < 1e-14);
  CHECK(result.components.at("symmetry").equal(symmetry.values));
  CHECK(result.components.at("symmetry_error").equal(symmetry.components.at("symmetry_error")));
  CHECK(result.components.at("clip_score").equal(text.values));
  CHECK(result.components.at("symmetry.clip_score").equal(text.values));  // the plain name is the part's own value
  CHECK(result.components.at("callable").equal(mean_of(input.images)));
  CHECK(result.components.at("callable_2").equal(peak_of(input.images)));
  CHECK(result.components.size() == 6);
  REQUIRE(result.parts.size() == 4);
  CHECK(result.parts[1].weight == -0.5);
  CHECK(result.parts[1].values.equal(text.values));
  CHECK(result.parts[3].values.equal(peak_of(input.images)));
}

TEST_CASE("weighted sum: the gradient equals central differences") {
  const Tensor images = random_images(2, 6, 6, 2);
  const auto sum = weighted_sum(
      weighted(1.5, SymmetryReward()), weighted(0.3, SymmetryReward({.deviation = SymmetryDeviation::kLiteral})),
      weighted(-2.0, differentiable([](const Tensor& x) { return x.pow(2).mean({1, 2, 3}); })));
  static_assert(decltype(sum)::kDifferentiable);
  const auto f = [&](const Tensor& x) { return sum.score({x, {"", ""}}).values.sum(); };
  CHECK(relative_error(gradient(f, images), central_differences(f, images)) < 1e-6);
}

TEST_CASE("weighted sum: one black box makes the whole one") {
  const auto sum = weighted_sum(weighted(1.0, SymmetryReward()), weighted(1.0, black_box(&mean_of)));
  static_assert(!decltype(sum)::kDifferentiable && !decltype(sum)::kPerGroup);
  CHECK_FALSE(sum.score({random_images(2, 6, 6, 3).requires_grad_(), {"", ""}}).values.requires_grad());
}

TEST_CASE("weighted sum: a CLIP reaches the parts that want one") {
  auto sum = weighted_sum(weighted(1.0, SymmetryReward({.text_weight = 1.0})), weighted(1.0, differentiable(&mean_of)),
                          weighted(0.5, ClipScoreReward()));
  CHECK(sum.needs_clip());
  sum.bind_clip(tiny_clip(5));
  CHECK_FALSE(sum.needs_clip());
  CHECK(sum.score({random_images(2, 8, 8, 4), {"a", "b"}}).values.size(0) == 2);
  static_assert(RewardTraits<decltype(sum)>::kTakesClip && RewardTraits<SymmetryReward>::kTakesClip &&
                !RewardTraits<CallableReward<decltype(&mean_of), true>>::kTakesClip);
}

TEST_CASE("weighted sum: a weight that is not finite, or that trains nothing, is named with its reward") {
  CHECK_THROWS_WITH_AS(weighted_sum(weighted(std::numeric_limits<double>::infinity(), SymmetryReward())),
                       "[WeightedSum] weights must be finite, got inf for symmetry", Error);
  const std::string nothing =
      "[WeightedSum] a reward of weight 0 trains nothing: expected another weight for symmetry, got 0; leave it out, "
      "or measure it among the evaluation rewards";
  CHECK_THROWS_WITH_AS(weighted_sum(weighted(1.0, differentiable(&mean_of)), weighted(0.0, SymmetryReward())),
                       nothing.c_str(), Error);
  CHECK_THROWS_WITH_AS(weighted_sum({weighted(-0.0, AnyReward(SymmetryReward()))}), nothing.c_str(), Error);
}

TEST_CASE("weighted sum: a part that writes to the images is named, whatever holds it") {
  const auto check = [](auto writes) {
    const auto part = black_box(writes);
    const auto refused = [](const auto& reward) {
      const RewardInput input{random_images(2, 6, 6, 6), {"", ""}};
      CHECK_THROWS_WITH_AS(reward.score(input), doctest::Contains("the reward black_box changed its images in place"),
                           Error);
    };
    refused(weighted_sum(weighted(1.0, part), weighted(1.0, SymmetryReward())));
    refused(weighted_sum(weighted(1.0, SymmetryReward()), weighted(1.0, part)));
    refused(weighted_sum({weighted(1.0, AnyReward(part)), weighted(1.0, AnyReward(SymmetryReward()))}));
    refused(AnyReward(part));
    refused(clamped(part, 0, 1));
    refused(standardized(part, 0, 1));
    refused(randomly_shifted(part, 1));
    const c10::InferenceMode no_counters;
    refused(weighted_sum(weighted(1.0, part), weighted(1.0, SymmetryReward())));
  };
  check([](const Tensor& images) { return images.mul_(2).mean({1, 2, 3}); });
  check([](const Tensor& images) { return images.narrow(0, 0, 1).clamp_(0, 0.5), images.mean({1, 2, 3}); });
  check([](const Tensor& images) { return images.detach().add_(1).mean({1, 2, 3}); });
  check([](const Tensor& images) { return images.fill_(std::numeric_limits<double>::quiet_NaN()).mean({1, 2, 3}); });
  // what it writes to a tensor of its own is its own affair
  const auto careful = black_box([](const Tensor& images) { return images.clone().mul_(2).mean({1, 2, 3}); });
  const RewardInput input{random_images(2, 6, 6, 7), {"", ""}};
  CHECK(weighted_sum(weighted(1.0, careful), weighted(1.0, differentiable(&mean_of)))
            .score(input)
            .values.allclose(3 * mean_of(input.images)));
  const c10::InferenceMode no_counters;
  const RewardInput blank{at::full({1, 3, 4, 4}, std::numeric_limits<double>::quiet_NaN()), {""}};
  CHECK(AnyReward(careful).score(blank).values.isnan().item<bool>());
}

TEST_CASE("weighted sum: rewards behind AnyReward keep their names") {
  const RewardInput input{random_images(3, 8, 8, 5), {"a", "b", "c"}};
  const AnyReward symmetry{SymmetryReward()};
  const auto sum = weighted_sum(weighted(1.0, symmetry), weighted(1.0, AnyReward(differentiable(&mean_of))));
  CHECK(sum.score(input).components.at("callable").equal(mean_of(input.images)));
  CHECK(sum.score(input).components.contains("symmetry"));
  CHECK(clamped(symmetry, -1, 1).score(input).components.contains("symmetry"));
  CHECK(standardized(symmetry, 0, 1).score(input).components.contains("symmetry"));
  CHECK(randomly_shifted(symmetry, 1).score(input).components.contains("symmetry"));
}

TEST_CASE("weighted sum: a list known at run time equals the same parts written out") {
  const RewardInput input{random_images(3, 8, 8, 5), {"a", "b", "c"}};
  const auto clip = tiny_clip(4);
  const SymmetryReward symmetry({.text_weight = 0.5}, clip);
  AnyReward list = weighted_sum({weighted(2.0, AnyReward(symmetry)), weighted(-0.5, AnyReward(ClipScoreReward())),
                                 weighted(1.0, AnyReward(differentiable(&mean_of))),
                                 weighted(3.0, AnyReward(differentiable(&peak_of)))});
  CHECK((list.differentiable() && !list.per_group() && list.needs_clip()));
  list.bind_clip(clip);
  const auto written = weighted_sum(weighted(2.0, symmetry), weighted(-0.5, ClipScoreReward(clip)),
                                    weighted(1.0, differentiable(&mean_of)), weighted(3.0, differentiable(&peak_of)));
  const RewardResult a = list.score(input), b = written.score(input);
  CHECK(a.values.equal(b.values));
  CHECK(a.components.size() == b.components.size());
  for (const auto& [name, component] : b.components) CHECK(a.components.at(name).equal(component));
}

TEST_CASE("weighted sum: answers that come later are asked at once, and the sum has a gradient if all parts have") {
  const RewardInput input{random_images(3, 6, 6, 6), {"a", "b", "c"}};
  const Later later{[](const Tensor& x) { return x.pow(2).mean({1, 2, 3}); }};
  const SymmetryReward symmetry;
  check_later(weighted_sum(weighted(2.0, symmetry), weighted(-0.5, later)), input, *later.asked);
  check_later(weighted_sum({weighted(2.0, AnyReward(symmetry)), weighted(-0.5, AnyReward(clamped(later, 0.1, 0.35)))}),
              input, *later.asked);
  const RewardInput traced{input.images.clone().requires_grad_(), input.prompts};
  const auto with_black_box = weighted_sum(weighted(1.0, later), weighted(1.0, black_box(&mean_of)));
  CHECK_FALSE(with_black_box.score(traced).values.requires_grad());
  CHECK_FALSE(with_black_box.score_later(traced).get().values.requires_grad());
}

TEST_CASE("weighted sum: a list is a black box if a part is, and refuses what it cannot add") {
  const AnyReward smooth{SymmetryReward()}, black{black_box(&mean_of)};
  CHECK_FALSE(weighted_sum({weighted(1.0, smooth), weighted(1.0, black)}).differentiable());
  CHECK_THROWS_WITH(weighted_sum(std::vector<Weighted<AnyReward>>()),
                    doctest::Contains("expected at least one reward, got none"));
  CHECK_THROWS_WITH(weighted_sum({weighted(INFINITY, smooth)}), doctest::Contains("weights must be finite, got inf"));
}

}  // namespace weighted_sum_test
