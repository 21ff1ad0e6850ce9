// Rewards made of callables: forms accepted, gradient, checks.
#include <doctest/doctest.h>

#include <ATen/ops/zeros.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/callable.hpp>

#include <tests/rewards/reward_checks.hpp>

namespace callable_test {

using namespace reward_tuner;
using namespace reward_checks;

TEST_CASE("callable: images or the whole input, Tensor or RewardResult") {
  const RewardInput input{random_images(2, 4, 4, 1), {"a", "bcd"}};
  const double scale = 3;
  const auto of_images = differentiable([scale](const Tensor& images) { return scale * images.mean({1, 2, 3}); });
  CHECK(of_images.score(input).values.equal(3 * input.images.mean({1, 2, 3})));
  const auto generic = differentiable([](const auto& images) { return images.sum({1, 2, 3}); });
  CHECK(generic.score(input).values.equal(input.images.sum({1, 2, 3})));
  const auto of_input = black_box([](const RewardInput& in) {
    Tensor length = at::zeros({static_cast<std::int64_t>(in.prompts.size())});
    for (std::size_t i = 0; i < in.prompts.size(); ++i)
      length[static_cast<std::int64_t>(i)] = static_cast<double>(in.prompts[i].size());
    return length;
  });
  CHECK(of_input.score(input).values[1].item<double>() == 3);
  const auto with_parts = black_box([](const RewardInput& in) {
    return RewardResult{in.images.mean({1, 2, 3}), {{"peak", in.images.amax({1, 2, 3})}}};
  });
  CHECK(with_parts.score(input).components.at("peak").equal(input.images.amax({1, 2, 3})));
  static_assert(decltype(of_images)::kDifferentiable && !decltype(of_input)::kDifferentiable);
  static_assert(std::is_same_v<decltype(of_images)::Role, RewardRole>);
}

TEST_CASE("callable: a differentiable one keeps its gradient, a black box has none") {
  const auto cube = [](const Tensor& images) { return images.pow(3).mean({1, 2, 3}); };
  const Tensor images = random_images(2, 4, 5, 2);
  const auto f = [&](const Tensor& x) { return differentiable(cube).score({x, {"", ""}}).values.sum(); };
  CHECK(relative_error(gradient(f, images), central_differences(f, images)) < 1e-6);
  CHECK_FALSE(black_box(cube).score({images.clone().requires_grad_(), {"", ""}}).values.requires_grad());
}

TEST_CASE("callable: wrong answers are named") {
  const RewardInput input{random_images(2, 4, 4, 3).requires_grad_(), {"", ""}};
  const auto text = doctest::Contains("[RewardPolicy] score expected [B] values");
  CHECK_THROWS_WITH_AS(differentiable([](const Tensor& x) { return x.mean(); }).score(input), text, Error);
  CHECK_THROWS_WITH_AS(black_box([](const Tensor& x) { return x.mean({2, 3}); }).score(input), text, Error);
  CHECK_THROWS_WITH_AS(black_box([](const Tensor&) { return Tensor(); }).score(input), text, Error);
  CHECK_THROWS_WITH_AS(black_box([](const Tensor&) { return at::zeros({2}, at::kLong); }).score(input),
                       doctest::Contains("floating point"), Error);
  const auto cut = differentiable([](const Tensor& x) { return x.detach().mean({1, 2, 3}); });
  CHECK_THROWS_WITH_AS(cut.score(input), doctest::Contains("without a graph"), Error);
  const auto odd_part = black_box([](const Tensor& x) { return RewardResult{x.mean({1, 2, 3}), {{"part", x}}}; });
  CHECK_THROWS_WITH_AS(odd_part.score(input), doctest::Contains("part"), Error);
}

}  // namespace callable_test
