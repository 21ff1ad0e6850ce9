// Attention by each of LibTorch's kernels on the device of REWARD_TUNER_TEST_DEVICE against double, in the shapes of
// Stable Diffusion's layers, and what a card chooses. The CPU has the default and plain products.
#include <doctest/doctest.h>

#include <ATen/ops/scaled_dot_product_attention.h>
#include <c10/util/Exception.h>
#include <torch/types.h>

#include <string>
#include <tuple>

#include <reward_tuner/layers/attention_choice.hpp>
#include <reward_tuner/layers/dot_product_attention.hpp>
#include <reward_tuner/tensor/rng.hpp>

#include <tests/reference/test_device.hpp>

TEST_CASE("every kernel of attention that the device has answers as double does, and one is chosen on a card") {
  using namespace reward_tuner;
  using enum AttentionKernel;
  const at::Device device = reference::test_device();
  const torch::NoGradGuard no_grad;
  Rng rng(7);
  AttentionChoice choice;
  int taken = 0;
  for (const auto& [batch, number, queries, keys, width] :
       {std::tuple{2, 8, 256, 256, 40}, std::tuple{2, 8, 256, 77, 40}, std::tuple{2, 8, 64, 64, 160},
        std::tuple{1, 10, 256, 77, 64}, std::tuple{1, 1, 256, 256, 512}, std::tuple{3, 2, 33, 7, 9}})
    for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
      const auto tokens = [&, heads = number, head = width, samples = batch](std::int64_t count) {
        return rng.normal({samples, count, heads, head}).to(type).transpose(1, 2).to(device);
      };
      const Tensor q = tokens(queries), k = tokens(keys), v = tokens(keys);
      const auto in_double = [](const Tensor& t) { return t.cpu().to(at::kDouble); };
      const Tensor wanted = at::scaled_dot_product_attention(in_double(q), in_double(k), in_double(v));
      const auto error = [&](const Tensor& got) {
        return ((in_double(got) - wanted).norm() / wanted.norm()).item<double>();
      };
      const double bound = type == at::kFloat ? 1e-3 : type == at::kHalf ? 2e-3 : 2e-2;
      for (const AttentionKernel kernel : {kDefault, kFlash, kEfficient, kCudnn, kMath}) {
        CAPTURE(std::string(attention_kernel_name(kernel)));
        CAPTURE(std::string(c10::toString(type)));
        CAPTURE(v.size(3));
        Tensor got;
        try {
          got = attention_by(kernel, q, k, v);
        } catch (const c10::Error&) {
          CHECK(kernel != kDefault);
          continue;
        }
        ++taken;
        CHECK(error(got) < bound);
      }
      if (device.is_cpu()) continue;  // without events
      const AttentionScope scope(&choice);
      CHECK(error(dot_product_attention(q, k, v)) < bound);
    }
  CHECK(taken >= 18);
  for (const auto& [form, measured] : choice.measured())
    MESSAGE(c10::toString(form.type), " ", form.rows, " x ", form.queries, " x ", form.keys, " x ", form.width, ": ",
            std::string(attention_kernel_name(measured.kernel)), " of ", measured.seconds.size());
}
