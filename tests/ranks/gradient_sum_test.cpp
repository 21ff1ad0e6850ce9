// The sum of gradients over ranks: the bits of one process, whatever the number of ranks.
#include <doctest/doctest.h>

#include <ATen/ops/full.h>
#include <torch/autograd.h>

#include <cmath>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/ranks/gradient_sum.hpp>
#include <reward_tuner/tensor/rng.hpp>

#include <tests/reference/tensor_lists.hpp>
#include <tests/reference/thread_ranks.hpp>

namespace gradient_sum_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

constexpr std::int64_t kBackwards = 7;
/// Parameter p gets a gradient of backward b.
bool reaches(std::int64_t b, std::size_t p) { return p == 0 || (p == 1 && b >= 5) || (p == 3 && b % 2 == 1); }

/// Float gradients of very different sizes, so that another order of addition has other bits.
Tensor gradient(std::int64_t b, std::size_t p, const std::vector<std::int64_t>& shape) {
  Rng rng = Rng::derive(static_cast<std::uint64_t>(b), p);
  return rng.normal(shape, at::kFloat) * std::pow(10.0, static_cast<double>(b % 3) * 2);
}

/// The gradients of all parameters after kBackwards backwards divided among ranks, on every rank.
std::vector<std::vector<Tensor>> summed(int size) {
  std::mutex mutex;
  std::vector<std::vector<Tensor>> out(static_cast<std::size_t>(size));
  on_ranks(size, [&](const Ranks& ranks) {
    // the third gets no gradient; the last is larger than a piece
    const std::vector<std::vector<std::int64_t>> shapes = {{3, 2}, {5}, {4}, {300, 1000}, {1}};
    std::vector<Tensor> parameters;
    for (const auto& shape : shapes) parameters.push_back(at::full(shape, 0.5, at::kFloat).requires_grad_());
    GradientSum sum(ranks, parameters);
    const auto [begin, end] = ranks.own(kBackwards);
    for (std::int64_t b = begin; b < end; ++b) {
      Tensor loss = at::full({}, 0.0, at::kFloat);
      for (std::size_t p = 0; p < shapes.size(); ++p)
        if (reaches(b, p)) loss = loss + (parameters[p] * gradient(b, p, shapes[p])).sum();
      // -0 alone: 0 + -0 would be 0
      if (b == kBackwards - 1) loss = loss + (parameters[4] * at::full({1}, -0.0, at::kFloat)).sum();
      torch::autograd::backward({loss}, {});
      sum.next();
    }
    sum.finish();
    const std::lock_guard lock(mutex);
    for (const Tensor& p : parameters) out[static_cast<std::size_t>(ranks.rank())].push_back(p.grad());
  });
  return out;
}

}  // namespace

TEST_CASE("gradients over any number of ranks have the bits of one process") {
  const auto alone = summed(1).at(0);
  CHECK(std::signbit(alone[4].item<float>()));
  CHECK_FALSE(alone[2].defined());
  for (const int size : {2, 3, 4, 7, 9}) {  // 9: two have nothing to do
    CAPTURE(size);
    for (const auto& rank : summed(size))
      for (std::size_t p = 0; p < alone.size(); ++p) {
        REQUIRE(rank[p].defined() == alone[p].defined());
        if (!alone[p].defined()) continue;
        CHECK(rank[p].equal(alone[p]));
        CHECK(rank[p].strides() == alone[p].strides());
      }
    CHECK(std::signbit(summed(size)[0][4].item<float>()));
  }
}

TEST_CASE("parameters of several dtypes are refused on several ranks") {
  const std::vector<Tensor> mixed = {at::full({2}, 1.0, at::kFloat).requires_grad_(),
                                     at::full({2}, 1.0, at::kDouble).requires_grad_()};
  GradientSum(Ranks(), mixed).finish();
  CHECK_THROWS_WITH_AS(on_ranks(2, [&](const Ranks& ranks) { const GradientSum sum(ranks, mixed); }),
                       "[Ranks] several ranks expected trained tensors of one dtype, got Float and Double", Error);
}

}  // namespace gradient_sum_test
