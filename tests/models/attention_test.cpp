// Attention layers: what `upcast` promises, under autocast as well.
#include <doctest/doctest.h>

#include <ATen/ops/randn.h>

#include <reward_tuner/backend/autocast.hpp>
#include <reward_tuner/models/attention.hpp>

namespace attention_test {
namespace {

using namespace reward_tuner;

double relative(const Tensor& a, const Tensor& b) { return ((a.to(at::kDouble) - b.to(at::kDouble)).norm() / b.to(at::kDouble).norm()).item<double>(); }

}  // namespace

TEST_CASE("attention with upcast mixes in float32 though its layers run under autocast: sharp attention loses less") {
  const torch::NoGradGuard no_grad;
  double plain_error = 0, upcast_error = 0;
  for (int seed = 0; seed < 5; ++seed) {
    Attention plain(32, {.heads = 2}), upcast(32, {.heads = 2, .upcast = true});
    for (const auto& item : plain.named_parameters()) {
      item.value().copy_(at::randn(item.value().sizes()));  // products of queries and keys of a size where rounding them shows
      upcast.named_parameters()[item.key()].copy_(item.value());
    }
    const Tensor x = at::randn({3, 40, 32});
    const Tensor exact = plain.forward(x);
    CHECK(upcast.forward(x).equal(exact));
    const AutocastScope scope(at::kCPU, at::kBFloat16);
    const Tensor low = upcast.forward(x);
    CHECK((low.scalar_type() == at::kBFloat16));
    plain_error += relative(plain.forward(x), exact), upcast_error += relative(low, exact);
  }
  MESSAGE("mean error in bfloat16 ", plain_error / 5, ", with upcast ", upcast_error / 5);
  CHECK(upcast_error < plain_error);
}

}  // namespace attention_test
