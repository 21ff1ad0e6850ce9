// Attention layers: what `upcast` promises, under autocast as well.
#include <doctest/doctest.h>

#include <ATen/ops/eye.h>
#include <ATen/ops/randn.h>

#include <reward_tuner/models/attention.hpp>
#include <reward_tuner/tensor/autocast.hpp>

TEST_CASE(
    "attention with upcast mixes in float32 though its layers run under autocast: the exact mixture, rounded once") {
  using namespace reward_tuner;
  const torch::NoGradGuard no_grad;
  for (int seed = 0; seed < 5; ++seed) {
    // Projections that change nothing, and an input that bfloat16 holds exactly: only the mixing can round.
    Attention plain(32, {.heads = 2}), upcast(32, {.heads = 2, .upcast = true});
    for (Attention* layer : {&plain, &upcast})
      for (const auto& item : layer->named_parameters()) {
        if (item.value().dim() == 2) item.value().copy_(at::eye(32));
        else item.value().zero_();
      }
    const Tensor x = at::randn({3, 40, 32}).to(at::kBFloat16).to(at::kFloat);
    const Tensor exact = plain.forward(x);
    CHECK(upcast.forward(x).equal(exact));
    const AutocastScope scope(at::kCPU, at::kBFloat16);
    CHECK(upcast.forward(x).equal(exact.to(at::kBFloat16)));
    CHECK_FALSE(plain.forward(x).equal(exact.to(at::kBFloat16)));
  }
}
