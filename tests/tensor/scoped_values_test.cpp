// Other values for a time: there within the scope, gone after it, also by an exception.
#include <doctest/doctest.h>

#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <stdexcept>
#include <vector>

#include <reward_tuner/tensor/scoped_values.hpp>

TEST_CASE("tensors hold other values within the scope, in their own storage, and their own after it") {
  using reward_tuner::ScopedValues;
  const std::vector<at::Tensor> tensors{at::zeros({2, 3}).requires_grad_(), at::full({}, 5, at::kDouble)};
  const void* storage = tensors[0].const_data_ptr();
  const auto before = [&] { return tensors[0].equal(at::zeros({2, 3})) && tensors[1].item<double>() == 5; };
  {
    const ScopedValues scope(tensors, {at::ones({2, 3}), at::full({}, 7)});
    CHECK(tensors[0].equal(at::ones({2, 3})));
    CHECK(tensors[1].item<double>() == 7);
    CHECK(tensors[0].const_data_ptr() == storage);
  }
  CHECK(before());
  CHECK(tensors[0].requires_grad());
  try {
    const ScopedValues scope(tensors, {at::ones({2, 3}), at::full({}, 7)});
    throw std::runtime_error("inside");
  } catch (const std::runtime_error&) {
  }
  CHECK(before());
  const ScopedValues none({}, {});
}
