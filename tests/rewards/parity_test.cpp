// The distribution reward: Eq. 12's numbers, groups, leave-one-out, and hues of rendered images.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <examples/pretrain/shape_images.hpp>
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/shapes/hue_parity.hpp>
#include <reward_tuner/rewards/weighted_sum.hpp>

namespace parity_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::shapes;
using torch::Tensor;

/// Images whose class is written in their first number.
Tensor labeled(const std::vector<std::int64_t>& classes) {
  const Tensor images = at::zeros({static_cast<std::int64_t>(classes.size()), 3, 2, 2}, at::kDouble);
  for (std::size_t i = 0; i < classes.size(); ++i)
    images[static_cast<std::int64_t>(i)].fill_(static_cast<double>(classes[i]));
  return images;
}

Tensor read_label(const Tensor& images) { return images.select(1, 0).select(1, 0).select(1, 0).to(at::kLong); }

RewardResult score(int num_classes, const std::vector<std::int64_t>& classes,
                   const std::vector<std::int64_t>& groups = {}, bool leave_one_out = false) {
  RewardInput input{labeled(classes), {}};
  if (!groups.empty()) input.group_ids = at::tensor(at::ArrayRef<std::int64_t>(groups), at::kLong);
  return parity(num_classes, read_label, {.leave_one_out = leave_one_out}).score(input);
}

std::vector<double> numbers(const Tensor& values) {
  const Tensor all = values.to(at::kDouble).contiguous();
  return {all.const_data_ptr<double>(), all.const_data_ptr<double>() + all.numel()};
}

}  // namespace

TEST_CASE("statistical parity: collapse, even groups, and what uniform sampling is expected to give") {
  CHECK(statistical_parity({16, 0, 0, 0}) == doctest::Approx(0.8660254));
  CHECK(statistical_parity({4, 4, 4, 4}) == 0);
  CHECK(statistical_parity({1, 1}) == 0);
  CHECK(statistical_parity({8, 8, 0, 0}) == doctest::Approx(0.5));
  // E over the multinomial of 16 images in 4 even classes, every outcome by its probability 16! / (a! b! c! d!) /
  // 4^16.
  double expected = 0, mass = 0;
  for (int a = 0; a <= 16; ++a)
    for (int b = 0; a + b <= 16; ++b)
      for (int c = 0; a + b + c <= 16; ++c) {
        const int d = 16 - a - b - c;
        const double chance = std::exp(std::lgamma(17) - std::lgamma(a + 1) - std::lgamma(b + 1) - std::lgamma(c + 1) -
                                       std::lgamma(d + 1) - 16 * std::log(4));
        mass += chance;
        expected += chance * statistical_parity({a, b, c, d});
      }
  CHECK(mass == doctest::Approx(1));
  CHECK(expected == doctest::Approx(0.1996).epsilon(5e-4));
  // what belongs to no class counts for the fullest
  CHECK(statistical_parity({3, 1}, 2) == statistical_parity({5, 1}));
  CHECK(statistical_parity({0, 0, 0, 0}, 4) == doctest::Approx(0.8660254));
  CHECK_THROWS_WITH_AS(statistical_parity({3}), doctest::Contains("at least two classes, got 1"), Error);
  CHECK_THROWS_WITH_AS(statistical_parity({3, -1}), doctest::Contains("counts >= 0, got -1"), Error);
  CHECK_THROWS_WITH_AS(statistical_parity({0, 0}), doctest::Contains("at least one image"), Error);
}

TEST_CASE("parity: every member gets its group's value") {
  const RewardResult one = score(4, {0, 1, 2, 3});
  CHECK(numbers(one.values) == std::vector<double>{0, 0, 0, 0});
  // group 7: classes 0 1 2 1; group -2: classes 0 1
  const RewardResult two = score(4, {0, 0, 1, 1, 2, 1}, {7, -2, 7, -2, 7, 7});
  const double seven = std::sqrt(0 + 0.0625 + 0 + 0.0625), minus = std::sqrt(4 * 0.0625);
  const std::vector<double> values = numbers(two.values);
  for (const std::size_t i : {0, 2, 4, 5}) CHECK(values[i] == doctest::Approx(-seven));
  for (const std::size_t i : {1, 3}) CHECK(values[i] == doctest::Approx(-minus));
  CHECK((two.components.at("statistical_parity") + two.values).abs().max().item<double>() == 0);
  CHECK(two.components.at("unclassified").sum().item<double>() == 0);
  CHECK(numbers(score(2, {0, 1, -1}).components.at("unclassified")) == std::vector<double>{0, 0, 1});
  CHECK(score(2, {0, 1, -1}).values[0].item<double>() == doctest::Approx(-statistical_parity({2, 1})));
}

TEST_CASE("parity: leave-one-out says which image helped") {
  const std::vector<double> values = numbers(score(2, {0, 0, 0, 1}, {}, true).values);
  const double whole = std::sqrt(2) * 0.25, without_common = std::sqrt(2) * (2.0 / 3 - 0.5),
               without_rare = std::sqrt(0.5);
  for (const std::size_t i : {0, 1, 2}) CHECK(values[i] == doctest::Approx(without_common - whole));
  CHECK(values[3] == doctest::Approx(without_rare - whole));
  CHECK(values[0] < 0);
  CHECK(values[3] > 0);
  const RewardResult alone = score(4, {2, 0, 0}, {1, 2, 2}, true);
  // a group of one, and one where each removal changes nothing
  CHECK(numbers(alone.values) == std::vector<double>{0, 0, 0});
  CHECK(alone.components.at("statistical_parity")[0].item<double>() == doctest::Approx(0.8660254));
  CHECK(numbers(score(2, {0, 1, -1}, {}, true).values)[2] < 0);  // nothing in it never helps
}

TEST_CASE("parity: wrong classes, groups and classifiers are named errors") {
  CHECK_THROWS_WITH_AS(score(4, {0, 4}),
                       doctest::Contains("expected class ids in 0..3, or -1 for no class, got 4 for image 1"), Error);
  CHECK_THROWS_WITH_AS(score(4, {-2, 0}), doctest::Contains("got -2 for image 0"), Error);
  CHECK_THROWS_WITH_AS(score(4, {0, 1}, {0, 1, 2}), doctest::Contains("group ids int64 [B] with B = 2, got"), Error);
  CHECK_THROWS_WITH_AS(score(1, {0}), doctest::Contains("at least two classes, got 1"), Error);
  const auto floats = parity(2, [](const Tensor& images) { return images.mean({1, 2, 3}); });
  CHECK_THROWS_WITH_AS(floats.score({labeled({0, 1}), {}}),
                       doctest::Contains("class ids int64 [B] with B = 2, got double"), Error);
  const auto short_of = parity(2, [](const Tensor&) { return at::zeros({1}, at::kLong); });
  CHECK_THROWS_AS(short_of.score({labeled({0, 1}), {}}), Error);
  CHECK_THROWS_WITH_AS(HueParityReward({.bins = 1}), doctest::Contains("2 to 24 bins, got 1"), Error);
}

TEST_CASE("parity: a black box of groups, alone, chosen at run time and as a part") {
  const auto reward = parity(2, read_label);
  static_assert(RewardPolicy<decltype(reward)> && decltype(reward)::kPerGroup && !decltype(reward)::kDifferentiable);
  const RewardInput input{labeled({0, 1, 1, 1}).requires_grad_(), {}};
  CHECK_FALSE(reward.score(input).values.requires_grad());
  CHECK(AnyReward(reward).per_group());
  CHECK(AnyReward(HueParityReward()).name() == "hue_parity");
  const auto sum = weighted_sum(weighted(2.0, reward));
  static_assert(decltype(sum)::kPerGroup);
  CHECK(sum.score({input.images.detach(), {}}).values[0].item<double>() == doctest::Approx(-2 * std::sqrt(2) * 0.25));
}

TEST_CASE("hue bins: color words lie well inside their bins") {
  const HueBins four;
  const std::array<int, 7> bins = {0, 1, 2, 0, 3, 0, 2};  // red green blue yellow purple orange cyan
  for (std::size_t c = 0; c < bins.size(); ++c) {
    const double hue = reward_tuner::shapes::detail::hue_degrees(kObjectColors[c].rgb);
    for (const double off : {-17.0, 0.0, 17.0}) CHECK(four.bin(hue + off) == bins[c]);
  }
  CHECK(four.edge() == doctest::Approx(-18).epsilon(0.02));
  for (int count = 2; count <= 24; ++count) {
    const HueBins many(count);
    std::set<int> reached;
    for (int degree = 0; degree < 360; ++degree) reached.insert(many.bin(degree));
    CHECK(static_cast<int>(reached.size()) == count);
    CHECK(*reached.begin() == 0);
    CHECK(*reached.rbegin() == count - 1);
    CHECK(many.bin(0) == 0);
  }
}

TEST_CASE("hue bins: the object's color decides on every background, white and blank images have no class") {
  Rng rng(3);
  const HueBins four;
  for (int i = 0; i < 240; ++i) {
    pretrain::Scene scene = pretrain::draw_scene(rng, {.two_objects = 0});
    const int color = scene.objects[0].color;
    const std::int64_t wanted =
        color == 7
            ? kNoClass
            : four.bin(reward_tuner::shapes::detail::hue_degrees(kObjectColors[static_cast<std::size_t>(color)].rgb));
    const Tensor image = pretrain::render(scene).image;
    const Tensor noisy = (image + 0.04 * rng.normal(image.sizes())).clamp(0, 1);
    CHECK_MESSAGE(four(image.unsqueeze(0)).item<std::int64_t>() == wanted,
                  kObjectColors[static_cast<std::size_t>(color)].name);
    CHECK_MESSAGE(four(noisy.unsqueeze(0)).item<std::int64_t>() == wanted,
                  kObjectColors[static_cast<std::size_t>(color)].name);
    scene.objects.clear();
    CHECK(four(pretrain::render(scene).image.unsqueeze(0)).item<std::int64_t>() == kNoClass);
  }
  // Of two objects the larger one decides.
  pretrain::Scene scene;
  scene.objects = {{.shape = 0, .color = 1, .x = 18, .y = 32, .radius = 9},
                   {.shape = 0, .color = 4, .x = 46, .y = 32, .radius = 14}};
  CHECK(four(pretrain::render(scene).image.unsqueeze(0)).item<std::int64_t>() == 3);
}

TEST_CASE("hue parity: a group of all colors scores above one of a single color") {
  const auto group = [](std::initializer_list<int> colors) {
    std::vector<Tensor> images;
    for (const int color : colors) {
      pretrain::Scene scene;
      scene.objects = {{.shape = 1, .color = color}};
      images.push_back(pretrain::render(scene).image);
    }
    return at::stack(images);
  };
  const HueParityReward reward;
  CHECK(reward.score({group({0, 1, 2, 4}), {}}).values.abs().max().item<double>() == 0);
  CHECK(reward.score({group({5, 5, 5, 5}), {}}).values[0].item<double>() == doctest::Approx(-0.8660254));
  CHECK((reward.score({group({5, 1}), {}}).values.scalar_type() == at::kFloat));
  const Tensor helped = HueParityReward({.leave_one_out = true}).score({group({5, 5, 5, 1}), {}}).values;
  CHECK(helped[3].item<double>() > 0.2);
  CHECK(helped[0].item<double>() < 0);
  CHECK(HueParityReward().options().bins == 4);
}

}  // namespace parity_test
