// RandomlyShifted: where pixels go, what seeds decide, gradient, traits.
#include <doctest/doctest.h>

#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <map>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/rewards/random_shift.hpp>
#include <reward_tuner/rewards/symmetry.hpp>

#include <tests/rewards/later_checks.hpp>
#include <tests/rewards/reward_checks.hpp>

namespace random_shift_test {
namespace {

using namespace reward_tuner;
using namespace reward_checks;

Tensor slow_shift(const Tensor& image, std::int64_t dx, std::int64_t dy) {
  const Tensor out = at::empty_like(image);
  for (std::int64_t h = 0; h < image.size(1); ++h)
    for (std::int64_t w = 0; w < image.size(2); ++w)
      for (std::int64_t c = 0; c < 3; ++c)
        out[c][h][w].copy_(image[c][std::min(h + dy, image.size(1) - 1)][std::min(w + dx, image.size(2) - 1)]);
  return out;
}

}  // namespace

TEST_CASE("random shift: every shift equals plain loops") {
  const Tensor image = random_images(1, 5, 6, 1)[0];  // [3,5,6]
  for (std::int64_t dx = 0; dx < 6; ++dx)
    for (std::int64_t dy = 0; dy < 5; ++dy) CHECK(shifted(image, dx, dy).equal(slow_shift(image, dx, dy)));
  CHECK_THROWS_WITH_AS(shifted(image, 6, 0), doctest::Contains("below the image's side 6, got 6"), Error);
}

TEST_CASE("random shift: each image is shifted by its own seed, whatever the batch; without seeds nothing is") {
  const Tensor images = random_images(4, 9, 8, 2);
  const std::vector<std::uint64_t> seeds{3, 1, 4, 1};
  Tensor seen;
  const auto watch = differentiable([&seen](const Tensor& x) {
    seen = x.detach();
    return x.mean({1, 2, 3});
  });
  const auto reward = randomly_shifted(watch, 3);
  static_assert(RewardPolicy<decltype(reward)> && decltype(reward)::kDifferentiable);
  const RewardResult all = reward.score({.images = images, .prompts = {}, .seeds = seeds});
  for (std::int64_t i = 0; i < 4; ++i) {
    const auto [dx, dy] = reward.shift(seeds[static_cast<std::size_t>(i)]);
    CHECK(seen[i].equal(slow_shift(images[i], dx, dy)));
  }
  CHECK(all.components.at("callable").equal(all.values));
  const RewardResult one = reward.score({.images = images.narrow(0, 2, 1), .prompts = {}, .seeds = {4}});
  CHECK(one.values[0].item<double>() == doctest::Approx(all.values[2].item<double>()).epsilon(1e-14));
  reward.score({images, {}});
  CHECK(seen.equal(images));
}

TEST_CASE("random shift: an answer that comes later is asked at once, of the shifted images") {
  const Later later{[](const Tensor& x) { return x.select(3, 0).pow(2).mean({1, 2}); }};
  const RewardInput input{.images = random_images(3, 6, 6, 6), .prompts = {}, .seeds = {5, 6, 7}};
  check_later(randomly_shifted(later, 3), input, *later.asked);
  CHECK_FALSE(scores_later(randomly_shifted(SymmetryReward(), 3)));
}

TEST_CASE("random shift: all shifts of {0..max}^2 come equally often") {
  const auto reward = randomly_shifted(SymmetryReward(), 2);
  for (const std::uint64_t first : {0, 100000, 7000000}) {
    std::map<std::pair<std::int64_t, std::int64_t>, int> counts;
    constexpr int kDraws = 1800;
    for (std::uint64_t i = 0; i < kDraws; ++i) ++counts[reward.shift(first + i)];
    CHECK(counts.size() == 9);
    for (const auto& [shift, count] : counts) {
      CHECK(count > 140);  // 200 expected, deviation 13.3
      CHECK(count < 260);
    }
  }
  CHECK(randomly_shifted(SymmetryReward(), 0).shift(5) == std::pair<std::int64_t, std::int64_t>{0, 0});
}

TEST_CASE("random shift: the gradient equals central differences") {
  const Tensor images = random_images(3, 7, 6, 3);
  const auto reward = randomly_shifted(SymmetryReward(), 4);
  const auto f = [&](const Tensor& x) {
    return reward.score({.images = x, .prompts = {}, .seeds = {5, 6, 8}}).values.sum();
  };
  CHECK(relative_error(gradient(f, images), central_differences(f, images)) < 1e-6);
}

TEST_CASE("random shift: a black box stays one, a CLIP is passed on") {
  const auto box = randomly_shifted(black_box([](const Tensor& x) { return x.mean({1, 2, 3}); }), 1);
  static_assert(!decltype(box)::kDifferentiable && !decltype(box)::kPerGroup);
  CHECK_FALSE(box.score({.images = random_images(2, 4, 4, 4).requires_grad_(), .prompts = {}, .seeds = {1, 2}})
                  .values.requires_grad());
  auto text = randomly_shifted(ClipScoreReward(), 1);
  CHECK(text.needs_clip());
  text.bind_clip(tiny_clip(1));
  CHECK_FALSE(text.needs_clip());
}

TEST_CASE("random shift: what does not fit is named") {
  const Tensor images = random_images(2, 8, 4, 5);
  CHECK_THROWS_WITH_AS(randomly_shifted(SymmetryReward(), -1),
                       doctest::Contains("max_shift must be at least 0, got -1"), Error);
  CHECK_THROWS_WITH_AS(randomly_shifted(SymmetryReward(), 4).score({.images = images, .prompts = {}, .seeds = {1, 2}}),
                       doctest::Contains("below the images' sides, got 4 for 4x8"), Error);
  CHECK_THROWS_WITH_AS(randomly_shifted(SymmetryReward(), 1).score({.images = images, .prompts = {}, .seeds = {1}}),
                       doctest::Contains("one seed per image (2), got 1"), Error);
}

}  // namespace random_shift_test
