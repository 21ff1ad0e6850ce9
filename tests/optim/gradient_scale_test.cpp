// The scale of half precision's gradients: when it is lowered and raised, and that an optimizer step takes it out.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/optim/gradient_scale.hpp>
#include <reward_tuner/optim/optimizer_step.hpp>
#include <reward_tuner/tensor/rng.hpp>

using namespace reward_tuner;

TEST_CASE("a gradient scale is halved by an overflow, down to 1, and doubled after enough steps in a row") {
  GradientScale scale;
  CHECK(scale.factor() == 1);
  scale.overflowed();
  scale.stepped(1);
  CHECK(scale == GradientScale{});  // not in use
  scale.begin(8);
  scale.begin(1024);
  CHECK(scale.factor() == 8);
  scale.stepped(3), scale.stepped(3);
  CHECK(scale == GradientScale{.value = 8, .steps = 2});
  scale.overflowed();
  CHECK(scale == GradientScale{.value = 4, .overflows = 1});  // the row begins anew
  for (int i = 0; i < 3; ++i) scale.stepped(3);
  CHECK(scale == GradientScale{.value = 8, .overflows = 1});
  for (int i = 0; i < 5; ++i) scale.overflowed();
  CHECK(scale == GradientScale{.value = 1, .overflows = 4});
  for (int i = 0; i < 100; ++i) scale.stepped(0);
  CHECK(scale.value == 1);
  for (int i = 0; i < 1000; ++i) scale.stepped(1);
  CHECK(std::isfinite(static_cast<float>(scale.value)));  // gradients of 0 would raise it for ever
}

TEST_CASE(
    "a scaled step is the step of the unscaled gradients to the bit, clipped or not, and refuses what overflowed") {
  for (const double largest : {0.0, 0.5}) {
    const auto step = [&](double scale) {
      Rng rng(4);
      const Tensor p = rng.normal({50}).requires_grad_();
      AdamW optimizer({p}, {.learning_rate = 0.1});
      p.mutable_grad() = rng.normal({50}) * scale;
      const double norm = guarded_step(optimizer, largest, scale);
      return std::pair(p.detach().clone(), norm);
    };
    const auto [plain, norm] = step(1);
    const auto [scaled, same] = step(0x1p20);
    CHECK(norm == same);
    CHECK(norm > 1);
    CHECK(at::equal(plain, scaled));
  }
  const Tensor p = at::ones({2}).requires_grad_();
  AdamW optimizer({p});
  p.mutable_grad() = at::full({2}, std::numeric_limits<float>::infinity());
  CHECK_FALSE(std::isfinite(guarded_step(optimizer, 1, 1024)));
  CHECK(at::equal(p, at::ones({2})));
  CHECK_FALSE(p.grad().defined());
}
