// The kernels of the device of REWARD_TUNER_TEST_DEVICE against the operators in double, in the shapes of Stable
// Diffusion's layers and in odd ones. Without kernels (the CPU, or a build without REWARDTUNER_CUDA) the operators
// themselves are held to the same bounds.
#include <doctest/doctest.h>

#include <ATen/ops/full.h>

#include <cstdint>
#include <string>
#include <tuple>

#include <reward_tuner/layers/fused_ops.hpp>
#include <reward_tuner/tensor/rng.hpp>

#include <tests/reference/fused_reference.hpp>
#include <tests/reference/test_device.hpp>

namespace device_fused_ops_test {
namespace {

using namespace reward_tuner;
using reference::fused_error;
using reference::geglu_in_double;
using reference::norm_silu_in_double;
using reference::test_device;

/// LibTorch's own operators on the CPU are up to 4e-5 off in float32 where the mean is six deviations.
double bound(at::ScalarType type) { return type == at::kFloat ? 1e-4 : type == at::kHalf ? 8e-3 : 6e-2; }

}  // namespace
}  // namespace device_fused_ops_test

TEST_CASE("group normalization with SiLU is the operators' in every type, layout and shape") {
  using namespace device_fused_ops_test;
  const torch::NoGradGuard no_grad;
  Rng rng(3);
  for (const auto& [batch, channels, height, width, groups] :
       {std::tuple{2, 320, 16, 16, 32}, std::tuple{1, 1280, 8, 8, 32}, std::tuple{2, 128, 64, 64, 32},
        std::tuple{3, 12, 5, 7, 4}, std::tuple{1, 6, 1, 1, 3}, std::tuple{2, 4, 33, 31, 1}})
    for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast})
      for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
        CAPTURE(std::string(c10::toString(type)));
        // far from zero: moments must not cancel
        const Tensor x = (rng.normal({batch, channels, height, width}) * 0.5 + 3).to(type).contiguous(format);
        CAPTURE(x.size(1));
        const Tensor w = (1 + 0.2 * rng.normal({channels})).to(type), b = (0.2 * rng.normal({channels})).to(type);
        const Tensor wanted = norm_silu_in_double(x, groups, w, b);
        const auto on = [](const Tensor& t) { return t.to(test_device()); };
        const Tensor there = on(x), got = group_norm_silu({there, groups, on(w), on(b), 1e-5});
        CHECK((got.scalar_type() == type));
        CHECK(fused_error(got, wanted) < bound(type));
        if (fused_kernels().group_norm_silu != nullptr && there.device().type() == fused_kernels().device)
          CHECK(got.is_contiguous(there.suggest_memory_format()));
      }
}

TEST_CASE("a kernel's variance does not cancel where the mean is large") {
  using namespace device_fused_ops_test;
  if (fused_kernels().group_norm_silu == nullptr || test_device().type() != fused_kernels().device) return;
  const torch::NoGradGuard no_grad;
  Rng rng(5);
  Tensor x = rng.normal({1, 8, 512, 512}) * 0.1 + 1e3;
  const Tensor w = at::full({8}, 1.0), b = at::full({8}, 0.0);
  const auto checked = [&] {
    const auto on = [](const Tensor& t) { return t.to(test_device()); };
    return fused_error(group_norm_silu({on(x), 2, on(w), on(b), 1e-5}), norm_silu_in_double(x, 2, w, b));
  };
  CHECK(checked() < 1e-5);
  for (const int channel : {0, 4}) x[0][channel][0][0].fill_(0);  // the first number of both groups
  CHECK(checked() < 1e-4);
}

TEST_CASE("GEGLU is the operators' in every type and shape") {
  using namespace device_fused_ops_test;
  const torch::NoGradGuard no_grad;
  Rng rng(4);
  for (const auto& [batch, tokens, width] :
       {std::tuple{2, 64, 1280}, std::tuple{1, 3, 5}, std::tuple{3, 7, 2}, std::tuple{1, 1024, 640}})
    for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
      CAPTURE(std::string(c10::toString(type)));
      const Tensor x = (2 * rng.normal({batch, tokens, 2 * width})).to(type);
      CAPTURE(x.size(2));
      CHECK(fused_error(geglu(x.to(test_device())), geglu_in_double(x)) < bound(type));
    }
}
