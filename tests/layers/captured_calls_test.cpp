// Calls by recordings: the function's own numbers, one recording for each form and state, values in place, memory that
// is replaced or gone, and what cannot be recorded. By a recorder on the CPU with the rules of a CUDA graph.
#include <doctest/doctest.h>

#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/layers/captured_calls.hpp>
#include <reward_tuner/tensor/autocast.hpp>
#include <reward_tuner/tensor/rng.hpp>

#include <tests/reference/operator_recorder.hpp>

namespace captured_calls_test {
namespace {

using namespace reward_tuner;

/// A call that reads a weight: y = sin(x w) + s, s undefined for none.
struct Layer {
  Tensor weight = Rng(1).normal({4, 3});
  CapturedCalls calls{"Test", reference::OperatorRecorder::recorder()};
  double added = 0;

  Tensor plain(const Tensor& x, const Tensor& s = {}) const { return plain_of(weight, added)({x, s}); }
  Tensor operator()(const Tensor& x, const Tensor& s = {}) {
    return calls({x, s}, {.reads = {weight}, .settings = {std::lround(1000 * added)}}, plain_of(weight, added));
  }
  static CapturedCalls::Call plain_of(const Tensor& weight, double added) {
    return [weight, added](const std::vector<Tensor>& in) {
      Tensor y = in[0].matmul(weight).sin() + added;  // [n,3]
      y.mul_(2);
      const auto halves = y.chunk(2, 0);  // views
      y = halves[0] - halves[1].contiguous();
      return in[1].defined() ? y + in[1] : y;
    };
  }
};

struct Counts {
  std::int64_t plain, recorded, replayed;
};
void check(const CapturedCalls& calls, const Counts& wanted) {
  CHECK(calls.counts().plain == wanted.plain);
  CHECK(calls.counts().recorded == wanted.recorded);
  CHECK(calls.counts().replayed == wanted.replayed);
}

}  // namespace
}  // namespace captured_calls_test

TEST_CASE("a call of one form runs, is recorded, and is replayed, with the function's numbers to the bit") {
  using namespace captured_calls_test;
  const torch::NoGradGuard no_grad;
  Layer layer;
  Rng rng(2);
  std::vector<Tensor> answers, wanted;
  for (int i = 0; i < 5; ++i) {
    const Tensor x = rng.normal({2, 4});
    answers.push_back(layer(x));
    wanted.push_back(layer.plain(x));
  }
  for (std::size_t i = 0; i < answers.size(); ++i) CHECK(answers[i].equal(wanted[i]));  // none was written over
  check(layer.calls, {1, 1, 4});
}

TEST_CASE("another shape, type, layout, missing input or setting is another form with a recording of its own") {
  using namespace captured_calls_test;
  const torch::NoGradGuard no_grad;
  Layer layer;
  Rng rng(2);
  const auto both = [&](const auto& make) {
    for (int i = 0; i < 3; ++i) {
      const auto [x, s] = make();
      CHECK(layer(x, s).equal(layer.plain(x, s)));
    }
  };
  using Two = std::pair<Tensor, Tensor>;
  both([&] { return Two(rng.normal({2, 4}), Tensor()); });
  both([&] { return Two(rng.normal({6, 4}), Tensor()); });
  both([&] { return Two(rng.normal({4, 2}).t(), Tensor()); });
  both([&] { return Two(rng.normal({2, 4}), rng.normal({1, 3})); });
  both([&] { return Two(rng.normal({2, 4}), rng.normal({1, 3}).to(at::kDouble)); });
  both([&] { return Two(rng.normal({1, 4}).expand({2, 4}), Tensor()); });
  layer.added = 0.5;
  both([&] { return Two(rng.normal({2, 4}), Tensor()); });
  check(layer.calls, {7, 7, 14});
  CHECK(layer.calls.recordings() == 7);
  // the first is still there
  layer.added = 0;
  layer(rng.normal({2, 4}));
  check(layer.calls, {7, 7, 15});
}

TEST_CASE("values that change in place are read; a weight with other memory is recorded anew, and back again found") {
  using namespace captured_calls_test;
  const torch::NoGradGuard no_grad;
  Layer layer;
  Rng rng(2);
  const auto run = [&](int times) {
    for (int i = 0; i < times; ++i) {
      const Tensor x = rng.normal({2, 4});
      CHECK(layer(x).equal(layer.plain(x)));
    }
  };
  run(3);
  layer.weight.add_(rng.normal({4, 3}));  // an optimizer's step
  run(2);
  check(layer.calls, {1, 1, 4});
  const Tensor first = layer.weight.detach();
  layer.weight.set_data(rng.normal({4, 3}));
  run(3);
  check(layer.calls, {2, 2, 6});
  layer.weight.set_data(first);
  run(2);
  check(layer.calls, {2, 2, 8});
}

TEST_CASE("recordings of weights that are gone go too, and at most so many are kept") {
  using namespace captured_calls_test;
  const torch::NoGradGuard no_grad;
  Layer layer;
  Rng rng(2);
  const auto run = [&](std::int64_t rows, int times = 2) {
    for (int i = 0; i < times; ++i) layer(rng.normal({rows, 4}));
  };
  const auto record_calls = [&] { return layer.calls.recordings(); };
  run(2);
  {
    const Tensor gone = rng.normal({4, 3});
    for (int i = 0; i < 2; ++i)
      layer.calls({rng.normal({2, 4}), Tensor()}, {.reads = {gone}}, Layer::plain_of(layer.weight, 0));
    CHECK(record_calls() == 2);
  }
  run(4, 1);  // remembering another form finds that its memory is gone
  CHECK(record_calls() == 1);
  for (std::int64_t i = 1; i <= 20; ++i) {
    run(2, 1);  // used again and again, it stays
    run(2 * i + 4);
  }
  CHECK(record_calls() == CapturedCalls::kMost);
  const std::int64_t recorded = layer.calls.counts().recorded;
  run(2, 3);
  CHECK(layer.calls.counts().recorded == recorded);
  run(6, 2);
  CHECK(layer.calls.counts().recorded == recorded + 1);
}

TEST_CASE("calls with gradient and calls without a recorder run plainly") {
  using namespace captured_calls_test;
  Layer layer;
  for (int i = 0; i < 3; ++i) CHECK(layer(Rng(2).normal({2, 4}).requires_grad_()).requires_grad());
  check(layer.calls, {3, 0, 0});
  const torch::NoGradGuard no_grad;
  layer.calls = CapturedCalls("Test", {});
  for (int i = 0; i < 3; ++i) layer(Rng(2).normal({2, 4}));
  check(layer.calls, {3, 0, 0});
}

TEST_CASE("what cannot be recorded runs plainly from then on, and a sentence says why") {
  using namespace captured_calls_test;
  const torch::NoGradGuard no_grad;
  std::vector<std::string> said;
  const NoteScope notes([&](const std::string& text) { said.push_back(text); });
  Layer layer;
  const auto reads_back = [](const std::vector<Tensor>& in) { return in[0] * in[0].sum().item<double>(); };
  for (int i = 0; i < 4; ++i) {
    const Tensor x = Rng(static_cast<std::uint64_t>(i)).normal({2, 4});
    CHECK(layer.calls({x}, {}, reads_back).equal(reads_back({x})));
  }
  check(layer.calls, {4, 0, 0});
  CHECK(said == std::vector<std::string>{
                    "[Test] steps of rollouts are not captured any more and run as without capture_rollout: "
                    "'[OperatorRecorder] the host reads a number of the device: expected none in a recording'"});
  // an error of the call itself is that, and nothing is said of recording
  Layer wrong;
  for (int i = 0; i < 2; ++i) CHECK_THROWS_AS(wrong(Rng(1).normal({2, 5})), c10::Error);
  CHECK(said.size() == 1);
}

TEST_CASE("a recording keeps no casts of trained weights for autocast's scope, which it outlives, and takes none") {
  using namespace captured_calls_test;
  const torch::NoGradGuard no_grad;
  struct Still final : Recording {
    void replay() override {}
  };
  Tensor product;  // [2,3], of the last work
  CapturedCalls calls("Test", {at::kCPU, [&](at::Device, const std::function<void()>& work) {
                                 work(), work();  // as CUDA's recorder: once before
                                 return std::make_unique<Still>();
                               }});
  const Tensor weight = Rng(1).normal({4, 3}).requires_grad_(true), x = Rng(2).normal({2, 4});
  const auto call = [&](const std::vector<Tensor>& in) { return product = in[0].matmul(weight); };
  const auto cast_now = [&] { return x.to(at::kBFloat16).matmul(weight.to(at::kBFloat16)); };
  for (int i = 0; i < 2; ++i) {  // plain, recorded
    const AutocastScope scope(at::kCPU, at::kBFloat16);
    if (i == 1) x.matmul(weight);  // a cast that is kept
    Tensor(weight).add_(1);
    calls({x}, {.reads = {weight}}, call);
    CHECK(product.equal(cast_now()));
    CHECK(at::autocast::is_autocast_cache_enabled());
  }
  CHECK(calls.counts().recorded == 1);
  {
    const AutocastScope scope(at::kCPU, at::kBFloat16);
    calls({x + 0, x}, {.reads = {weight}}, call);  // another form
    at::autocast::clear_cache();
    calls({x + 0, x}, {.reads = {weight}}, call);
    Tensor(weight).add_(1);
    CHECK(x.matmul(weight).equal(cast_now()));
  }
  CHECK(calls.counts().recorded == 2);
}

TEST_CASE("numbers that the host gives are those of the recording: they belong into the inputs or the settings") {
  using namespace captured_calls_test;
  const torch::NoGradGuard no_grad;
  CapturedCalls calls("Test", reference::OperatorRecorder::recorder());
  double number = 1;
  const auto call = [&](const std::vector<Tensor>& in) { return in[0] * at::full({1}, number); };
  const Tensor x = Rng(1).normal({3});
  for (; number < 4; ++number) {
    const Tensor y = calls({x}, {}, call);
    CHECK(y.equal(x * std::min(number, 2.0)));
  }
}
