// The choice of an attention kernel: by a clock that the test sets, on the CPU, whose LibTorch has the default and
// plain products alone.
#include <doctest/doctest.h>

#include <ATen/Context.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <c10/util/Exception.h>
#include <torch/types.h>

#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <reward_tuner/layers/attention_choice.hpp>
#include <reward_tuner/layers/dot_product_attention.hpp>
#include <reward_tuner/layers/fused_ops.hpp>
#include <reward_tuner/tensor/autocast.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace attention_choice_test {
namespace {

using namespace reward_tuner;
using enum AttentionKernel;

/// A clock that says how long each kernel takes, and who asked.
struct Clock {
  std::map<AttentionKernel, double> seconds;
  std::vector<AttentionKernel> asked = {};
};

/// A choice by that clock among kernels that all answer as the default, but those in `broken`, which throw.
AttentionChoice choice_by(Clock& clock, const std::vector<AttentionKernel>& broken = {}) {
  return AttentionChoice(
      [&clock](AttentionKernel kernel, at::Device, const std::function<void()>& run) {
        run();
        clock.asked.push_back(kernel);
        return clock.seconds.at(kernel);
      },
      [broken](AttentionKernel kernel, const Tensor& q, const Tensor& k, const Tensor& v) {
        for (const AttentionKernel one : broken) TORCH_CHECK(kernel != one, "no such kernel here");
        return at::scaled_dot_product_attention(q, k, v);
      });
}

Tensor heads(std::int64_t batch, std::int64_t tokens, at::ScalarType type = at::kBFloat16, std::int64_t width = 8) {
  Rng rng(static_cast<std::uint64_t>(tokens));
  return rng.normal({batch, tokens, 3, width}).to(type).transpose(1, 2);  // as a projection leaves them
}

const std::map<AttentionKernel, double> kTimes = {
    {kDefault, 1.0}, {kFlash, 0.8}, {kEfficient, 0.7}, {kCudnn, 0.5}, {kMath, 3.0}};

}  // namespace
}  // namespace attention_choice_test

TEST_CASE("the fastest kernel of a shape is taken, by one measurement") {
  using namespace attention_choice_test;
  const torch::NoGradGuard no_grad;
  Clock clock{kTimes};
  AttentionChoice choice = choice_by(clock);
  const Tensor q = heads(2, 16), k = heads(2, 7);
  for (int i = 0; i < 3; ++i) CHECK(choice.of(q, k, k) == kCudnn);
  CHECK((clock.asked == std::vector{kDefault, kFlash, kEfficient, kCudnn, kMath}));
  const auto& [form, measured] = *choice.measured().begin();
  CHECK((form == AttentionForm{at::kCPU, q.device().index(), at::kBFloat16, 6, 16, 7, 8}));
  CHECK((measured.seconds == kTimes));
  // what differs in one thing is another form, with a measurement of its own
  clock.seconds[kCudnn] = 2.0;
  for (const auto& [a, b] : {std::pair{heads(1, 16), heads(1, 7)},
                             {heads(2, 17), heads(2, 7)},
                             {q, heads(2, 8)},
                             {heads(2, 16, at::kHalf), heads(2, 7, at::kHalf)},
                             {heads(2, 16, at::kBFloat16, 16), heads(2, 7, at::kBFloat16, 16)}})
    CHECK(choice.of(a, b, b) == kEfficient);
  CHECK(choice.measured().size() == 6);
  CHECK(choice.of(q, k, k) == kCudnn);  // once measured it stays
}

TEST_CASE("a kernel that throws, answers another number, or saves nothing to speak of is not taken") {
  using namespace attention_choice_test;
  const torch::NoGradGuard no_grad;
  const Tensor q = heads(2, 16), k = heads(2, 7);
  {
    Clock clock{kTimes};
    AttentionChoice choice = choice_by(clock, {kCudnn});
    CHECK(choice.of(q, k, k) == kEfficient);
    CHECK(choice.measured().begin()->second.seconds.count(kCudnn) == 0);
  }
  {
    Clock clock{kTimes};
    AttentionChoice choice = choice_by(clock, {kFlash, kEfficient, kCudnn, kMath});
    CHECK(choice.of(q, k, k) == kDefault);
  }
  {  // ties and what a clock's own error may be
    Clock clock{{{kDefault, 1.0}, {kFlash, 1.0}, {kEfficient, 0.96}, {kCudnn, 0.97}, {kMath, 1.0}}};
    AttentionChoice choice = choice_by(clock);
    CHECK(choice.of(q, k, k) == kDefault);
  }
  const auto wrong_by = [&](AttentionKernel kernel, double factor, double added) {
    Clock clock{kTimes};
    AttentionChoice choice(
        [&clock](AttentionKernel timed, at::Device, const std::function<void()>&) { return clock.seconds.at(timed); },
        [=](AttentionKernel called, const Tensor& a, const Tensor& b, const Tensor& c) {
          const Tensor right = at::scaled_dot_product_attention(a, b, c);
          return called == kernel ? right * factor + added : right;
        });
    return choice.of(q, k, k);
  };
  CHECK(wrong_by(kCudnn, 1.1, 0) == kEfficient);
  CHECK(wrong_by(kCudnn, 1.0, std::numeric_limits<double>::quiet_NaN()) == kEfficient);
  CHECK(wrong_by(kCudnn, 1.002, 0) == kCudnn);  // rounding
  // an error of the default's is the call's own
  Clock clock{kTimes};
  AttentionChoice choice = choice_by(clock, {kDefault});
  CHECK_THROWS_WITH_AS(choice.of(q, k, k), doctest::Contains("no such kernel here"), c10::Error);
  CHECK(choice.measured().empty());
}

TEST_CASE("only kernels that may take a call are tried, and none that the user switched off") {
  using namespace attention_choice_test;
  const torch::NoGradGuard no_grad;
  const auto tried = [](const Tensor& q, const Tensor& k) {
    Clock clock{kTimes};
    AttentionChoice choice = choice_by(clock);
    choice.of(q, k, k);
    return clock.asked;
  };
  CHECK((tried(heads(1, 4, at::kFloat), heads(1, 4, at::kFloat)) == std::vector{kDefault, kEfficient, kMath}));
  CHECK((tried(heads(1, 4, at::kHalf, 9), heads(1, 4, at::kHalf, 9)) == std::vector{kDefault, kMath}));
  CHECK((tried(heads(1, 4, at::kHalf, 264), heads(1, 4, at::kHalf, 264)) == std::vector{kDefault, kEfficient, kMath}));
  CHECK((tried(heads(1, 3400), heads(1, 3400)) == std::vector{kDefault, kFlash, kEfficient, kCudnn}));  // 3 * 3400^2
  at::globalContext().setSDPUseCuDNN(false);
  const auto without = tried(heads(1, 4), heads(1, 4));
  at::globalContext().setSDPUseCuDNN(true);
  CHECK((without == std::vector{kDefault, kFlash, kEfficient, kMath}));
}

TEST_CASE("calls with a gradient, under autocast, in double or that must repeat their bits go by LibTorch's choice") {
  using namespace attention_choice_test;
  const Tensor q = heads(2, 16, at::kFloat), k = heads(2, 7, at::kFloat);
  Clock clock{kTimes};
  AttentionChoice choice = choice_by(clock);
  const AttentionScope scope(&choice);
  const auto measures = [&](const Tensor& a, const Tensor& b) {
    const std::size_t before = clock.asked.size();
    dot_product_attention(a, b, b);
    return clock.asked.size() > before;
  };
  CHECK_FALSE(measures(q.detach().requires_grad_(), k));
  CHECK_FALSE(measures(q.to(at::kDouble), k.to(at::kDouble)));
  {
    const OperatorsAlone alone;
    CHECK_FALSE(measures(q, k));
  }
  {
    const AutocastScope autocast(at::kCPU, at::kBFloat16);
    CHECK_FALSE(measures(q, k));
  }
  {
    const AttentionScope off(nullptr);
    CHECK_FALSE(measures(q, k));
  }
  at::globalContext().setDeterministicAlgorithms(true, false);
  CHECK_FALSE(measures(q, k));
  at::globalContext().setDeterministicAlgorithms(false, false);
  dot_product_attention(q, k, k, at::zeros({16, 7}));
  CHECK(clock.asked.empty());
  CHECK(measures(q, k));
  CHECK_FALSE(measures(q, k));
  const torch::NoGradGuard no_grad;
  CHECK_FALSE(measures(q.detach().requires_grad_(), k));  // the same form
  CHECK(measures(q.narrow(2, 0, 5).detach().requires_grad_(), k));
}

TEST_CASE("of LibTorch's own kernels those that this machine lacks are left out, and the chosen one's numbers come") {
  using namespace attention_choice_test;
  const torch::NoGradGuard no_grad;
  const Tensor q = heads(2, 16, at::kFloat), k = heads(2, 7, at::kFloat), v = heads(2, 7, at::kFloat) * 2;
  for (const bool products : {false, true}) {
    AttentionChoice choice([&](AttentionKernel kernel, at::Device, const std::function<void()>& run) {
      run();
      return (kernel == kMath) == products ? 1.0 : 2.0;
    });
    const AttentionScope scope(&choice);
    const AttentionKernel wanted = products ? kMath : kDefault;
    CHECK(dot_product_attention(q, k, v).equal(attention_by(wanted, q, k, v)));
    const auto& measured = choice.measured().begin()->second;
    CHECK(measured.kernel == wanted);
    CHECK(measured.seconds.size() == 2);
  }
}

TEST_CASE("kernels have names") {
  using namespace attention_choice_test;
  std::string all;
  for (const AttentionKernel kernel : {kDefault, kFlash, kEfficient, kCudnn, kMath})
    all += std::string(attention_kernel_name(kernel)) + " ";
  CHECK(all == "default flash efficient cudnn math ");
}
