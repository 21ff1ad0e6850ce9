// Attention by the kernel that suits the type: LibTorch's own values and gradients, whichever kernel computes them.
#include <doctest/doctest.h>

#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>
#include <torch/autograd.h>

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include <reward_tuner/layers/dot_product_attention.hpp>
#include <reward_tuner/tensor/autocast.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace dot_product_attention_test {
namespace {

using namespace reward_tuner;

double relative(const Tensor& a, const Tensor& b) {
  return ((a.to(at::kDouble) - b.to(at::kDouble)).norm() / b.to(at::kDouble).norm()).item<double>();
}

}  // namespace

TEST_CASE(
    "dot_product_attention in float and double is LibTorch's, in bfloat16 it differs by rounding, in value and "
    "gradients") {
  for (const auto& [length, context] : {std::pair<std::int64_t, std::int64_t>{16, 16}, {16, 7}, {1, 5}}) {
    // as a projection leaves them
    const auto heads = [](std::int64_t tokens) { return at::randn({2, tokens, 3, 8}, at::kDouble).transpose(1, 2); };
    const Tensor q = heads(length), k = heads(context), v = heads(context), w = heads(length);
    const auto run = [&](at::ScalarType type, auto attention) {
      std::vector<Tensor> in;
      for (const Tensor& t : {q, k, v}) in.push_back(t.to(type).requires_grad_());
      std::vector<Tensor> out =
          torch::autograd::grad({attention(in[0], in[1], in[2])}, in, {w.to(type)}, /*retain_graph=*/true);
      out.push_back(attention(in[0], in[1], in[2]).detach());
      return out;
    };
    const auto ours = [](const Tensor& a, const Tensor& b, const Tensor& c) { return dot_product_attention(a, b, c); };
    const auto exact = run(at::kDouble, [](const Tensor& a, const Tensor& b, const Tensor& c) {
      return at::scaled_dot_product_attention(a, b, c);
    });
    for (const auto& [type, bound] : {std::pair{at::kDouble, 1e-14}, {at::kFloat, 2e-6}, {at::kBFloat16, 0.03}}) {
      const auto found = run(type, ours);
      for (std::size_t i = 0; i < found.size(); ++i) {
        CHECK((found[i].scalar_type() == type));
        CHECK(found[i].sizes() == exact[i].sizes());
        CHECK(relative(found[i], exact[i]) < bound);
      }
    }
    const AutocastScope scope(at::kCPU, at::kBFloat16);
    const auto low = [](const Tensor& t) { return t.to(at::kBFloat16); };
    const Tensor under = dot_product_attention(low(q), low(k), low(v));
    CHECK((under.scalar_type() == at::kBFloat16));
    CHECK(relative(under, exact[3]) < 0.03);
  }
}

TEST_CASE(
    "dot_product_attention in bfloat16 stays finite and near the exact one for sharp attention; half goes by the fused "
    "kernel") {
  const torch::NoGradGuard no_grad;
  const Tensor q = 6 * at::randn({2, 3, 16, 8}), k = 6 * at::randn({2, 3, 16, 8}), v = at::randn({2, 3, 16, 8});
  const auto low = [](const Tensor& t) { return t.to(at::kBFloat16); };
  CHECK(relative(dot_product_attention(low(q), low(k), low(v)),
                 at::scaled_dot_product_attention(low(q).to(at::kDouble), low(k).to(at::kDouble),
                                                  low(v).to(at::kDouble))) < 0.1);
  const auto half = [](const Tensor& t) { return (50 * t).to(at::kHalf); };  // whose products overflow
  CHECK(dot_product_attention(half(q), half(k), half(v)).isfinite().all().item<bool>());
}

TEST_CASE("dot_product_attention goes by the fused kernel where the attention weights would be large") {
  const torch::NoGradGuard no_grad;
  const Tensor q = at::randn({1, 2, 4200, 8}, at::kBFloat16), k = at::randn({1, 2, 4200, 8}, at::kBFloat16);
  CHECK(dot_product_attention(q, k, k).equal(at::scaled_dot_product_attention(q, k, k)));  // 2 * 4200 * 4200 > 2^25
}

TEST_CASE("dot_product_attention: a mask is added to the scaled products, by the formula and in every branch") {
  Rng rng(11);
  const Tensor q = rng.normal({2, 3, 4, 5}, at::kDouble), k = rng.normal({2, 3, 6, 5}, at::kDouble),
               v = rng.normal({2, 3, 6, 5}, at::kDouble);
  const Tensor mask = rng.normal({2, 1, 1, 6}, at::kDouble);
  const Tensor scores = q.matmul(k.transpose(2, 3)) / std::sqrt(5.0) + mask;  // [2,3,4,6]
  const Tensor want = (scores - scores.logsumexp({-1}, true)).exp().matmul(v);
  CHECK((dot_product_attention(q, k, v, mask) - want).abs().max().item<double>() < 1e-12);
  const auto low = [](const Tensor& x) { return x.to(at::kBFloat16); };
  CHECK((dot_product_attention(low(q), low(k), low(v), low(mask)).to(at::kDouble) - want).abs().max().item<double>() <
        0.05);
  Tensor far = at::zeros({2, 1, 1, 6}, at::kDouble);
  far.narrow(3, 4, 2).fill_(-10000);
  const Tensor cut = dot_product_attention(q, k.narrow(2, 0, 4), v.narrow(2, 0, 4));
  CHECK((dot_product_attention(q, k, v, far) - cut).abs().max().item<double>() < 1e-12);
}

}  // namespace dot_product_attention_test
