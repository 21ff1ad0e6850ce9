// Autocast scopes nest, restore what was, and do nothing without a dtype.
#include <doctest/doctest.h>

#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <torch/types.h>

#include <reward_tuner/tensor/autocast.hpp>

TEST_CASE("an autocast scope casts products inside and restores the state outside") {
  using namespace reward_tuner;
  const torch::Tensor x = at::ones({4, 4});
  CHECK_FALSE(autocast_dtype(at::kCPU).has_value());
  {
    const AutocastScope nothing(at::kCPU, std::nullopt);
    CHECK((x.matmul(x).scalar_type() == at::kFloat));
    const AutocastScope outer(at::kCPU, at::kBFloat16);
    CHECK((x.matmul(x).scalar_type() == at::kBFloat16));
    CHECK((autocast_dtype(at::kCPU) == at::kBFloat16));
    {
      const AutocastScope inner(at::kCPU, at::kHalf);
      CHECK((x.matmul(x).scalar_type() == at::kHalf));
    }
    CHECK((x.matmul(x).scalar_type() == at::kBFloat16));
  }
  CHECK((x.matmul(x).scalar_type() == at::kFloat));
  CHECK_FALSE(autocast_dtype(at::kCPU).has_value());
}
