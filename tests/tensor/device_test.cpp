// Copies from the host to a device: equal to the bit, in the layout of the source, of which nothing is needed after.
#include <doctest/doctest.h>

#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <torch/autograd.h>

#include <vector>

#include <reward_tuner/tensor/device.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace device_test {
namespace {

using namespace reward_tuner;

/// Ordinary memory in place of pinned, and what was asked for.
struct Memory {
  std::vector<Tensor>* given;
  Tensor operator()(const Tensor& like) const { return given->emplace_back(at::empty_like(like)); }
};

}  // namespace
}  // namespace device_test

TEST_CASE("a copy through staging memory is the source to the bit, in its layout and with its gradient") {
  using namespace device_test;
  Rng rng(1);
  std::vector<Tensor> given;
  const auto staged = [&](const Tensor& host) { return reward_tuner::detail::staged(host, at::kCPU, Memory{&given}); };
  const Tensor images = rng.normal({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast);
  CHECK(staged(images).equal(images));
  CHECK(staged(images).strides() == images.strides());
  for (const Tensor& host : {rng.normal({}), rng.normal({1, 6}).expand({4, 6}), rng.normal({4, 6}).t(),
                             rng.permutation(7), rng.normal({3}).to(at::kBFloat16)}) {
    CHECK(staged(host).equal(host));
    CHECK((staged(host).scalar_type() == host.scalar_type()));
  }
  const Tensor x = at::zeros({3}).requires_grad_();
  const auto gradient = torch::autograd::grad({(staged(x) * 2).sum()}, {x});
  CHECK(gradient[0].equal(at::ones({3}) * 2));
}

TEST_CASE("a source may change as soon as its copy is asked for, even one that is pinned itself") {
  using namespace device_test;
  std::vector<Tensor> given;
  const Tensor host = at::ones({4}), copy = reward_tuner::detail::staged(host, at::kCPU, Memory{&given});
  REQUIRE(given.size() == 1);
  CHECK(given[0].data_ptr() != host.data_ptr());
  host.zero_();
  CHECK(copy.equal(at::ones({4})));
}

TEST_CASE("only copies of the host's tensors to a CUDA card are staged, and none that would fill its cache") {
  using namespace device_test;
  const Tensor host = at::ones({4});
  CHECK(reward_tuner::detail::is_staged(host, {at::kCUDA, 0}));
  CHECK(!reward_tuner::detail::is_staged(host, at::kCPU));
  CHECK(!reward_tuner::detail::is_staged(host, {at::kPrivateUse1, 0}));
  CHECK(!reward_tuner::detail::is_staged(at::ones({0}), {at::kCUDA, 0}));
  CHECK(!reward_tuner::detail::is_staged(host.to(at::kMeta), {at::kCUDA, 0}));
  CHECK(!reward_tuner::detail::is_staged(at::ones({1}).expand({std::int64_t{1} << 27}), {at::kCUDA, 0}));  // 512 MB
  CHECK(to_device(host, at::kCPU).data_ptr() == host.data_ptr());                                          // itself
  CHECK(beside(host, host).data_ptr() == host.data_ptr());
}
