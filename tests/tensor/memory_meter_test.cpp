// The tensor byte counter.
#include <doctest/doctest.h>

#include <torch/autograd.h>
#include <torch/types.h>

#include <reward_tuner/tensor/memory_meter.hpp>

TEST_CASE("the meter sees allocations, frees and the peak between them") {
  using namespace reward_tuner;
  const MemoryMeter meter;
  CHECK(meter.peak_bytes() == 0);
  torch::Tensor kept = at::zeros({1000});
  { const torch::Tensor temporary = at::zeros({4000}); }
  CHECK(meter.live_bytes() >= 4000);
  CHECK(meter.live_bytes() < 5000);
  CHECK(meter.peak_bytes() >= 20000);
  CHECK(meter.peak_bytes() < 21000);
}

TEST_CASE("the meter sees a backward pass, and of nested meters only the innermost counts") {
  using namespace reward_tuner;
  const torch::Tensor x = at::ones({10000}).requires_grad_();
  const torch::Tensor y = x.sin().sum();
  const MemoryMeter outer;
  {
    const MemoryMeter inner;
    torch::autograd::backward({y}, {});
    CHECK(inner.peak_bytes() >= 40000);
  }
  CHECK(outer.peak_bytes() == 0);
}
