// AdamW8bit against the same algorithm written out in scalars, against AdamW, in its memory, its state and its errors.
#include <doctest/doctest.h>

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/optim/adamw_8bit.hpp>
#include <reward_tuner/optim/block_quantization.hpp>
#include <reward_tuner/tensor/memory_meter.hpp>
#include <reward_tuner/tensor/rng.hpp>

#include <tests/reference/failing_allocator.hpp>
#include <tests/reference/tensor_lists.hpp>

namespace adamw_8bit_test {
namespace {

using namespace reward_tuner;
using reference::bit_equal;
using reference::copies;

Tensor trained(const Tensor& start) { return start.clone().requires_grad_(); }

/// The code nearest to x, which is 0 only for 0 itself where there is no sign.
std::size_t nearest(const std::vector<double>& values, double x, bool with_sign) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < values.size(); ++i)
    if (std::abs(values[i] - x) < std::abs(values[best] - x)) best = i;
  return !with_sign && best == 0 && x > 0 ? 1 : best;
}

std::vector<double> values_of(bool with_sign) {
  const Tensor values = DynamicCode(with_sign, at::kDouble).values();
  return {values.data_ptr<double>(), values.data_ptr<double>() + values.numel()};
}

/// Moments of one block, rounded.
void round_block(std::vector<double>& numbers, std::size_t begin, std::size_t end, const std::vector<double>& values,
                 bool with_sign) {
  double scale = 0;
  for (std::size_t i = begin; i < end; ++i) scale = std::max(scale, std::abs(numbers[i]));
  for (std::size_t i = begin; i < end && scale > 0; ++i)
    numbers[i] = scale * values[nearest(values, numbers[i] / scale, with_sign)];
}

/// The distance of AdamW8bit's weights from AdamW's on a noisy quadratic, as a share of the way that AdamW's went. The
/// size of gradients differs between numbers of a block by factors of 10^(deviation * normal).
double relative_error(double deviation, double beta2, std::uint64_t seed, int steps) {
  constexpr std::int64_t kNumbers = 4096;
  Rng rng(seed);
  const Tensor size = at::pow(10.0, deviation * rng.normal({kNumbers}));  // [N]
  const Tensor target = rng.normal({kNumbers});
  const Tensor p = trained(at::zeros({kNumbers})), q = trained(at::zeros({kNumbers}));
  AdamW exact({p}, {.learning_rate = 1e-3, .beta2 = beta2});
  AdamW8bit rounded({q}, {.learning_rate = 1e-3, .beta2 = beta2, .smallest = 0});
  for (int i = 0; i < steps; ++i) {
    const Tensor noise = 0.3 * rng.normal({kNumbers});
    p.mutable_grad() = size * (0.1 * (p.detach() - target) + noise);
    q.mutable_grad() = size * (0.1 * (q.detach() - target) + noise);
    exact.step();
    rounded.step();
  }
  return ((q - p).norm() / p.norm()).item<double>();
}

}  // namespace

TEST_CASE("a step is AdamW's on decoded moments, which are rounded again: the algorithm in scalars") {
  const std::vector<double> signs = values_of(true), roots = values_of(false);
  for (const std::int64_t block : {1, 4, 7, 1000}) {
    const AdamW8bitOptions options{.learning_rate = 0.03,
                                   .beta1 = 0.8,
                                   .beta2 = 0.95,
                                   .epsilon = 1e-6,
                                   .weight_decay = 0.1,
                                   .block = block,
                                   .smallest = 0};
    Rng rng(1);
    constexpr std::size_t kNumbers = 18;
    const Tensor p = trained(rng.normal({2, 9}, at::kDouble));
    std::vector<double> x(p.data_ptr<double>(), p.data_ptr<double>() + kNumbers), m(kNumbers), root(kNumbers);
    AdamW8bit optimizer({p}, options);
    double worst = 0;
    for (int t = 1; t <= 20; ++t) {
      const Tensor g = rng.normal({2, 9}, at::kDouble);
      g[0][3] = 0;
      p.mutable_grad() = g;
      optimizer.step();
      for (std::size_t i = 0; i < kNumbers; ++i) {
        const double gi = g.data_ptr<double>()[i];
        m[i] = 0.8 * m[i] + 0.2 * gi;
        root[i] = std::sqrt(0.95 * root[i] * root[i] + 0.05 * gi * gi);
        x[i] -=
            0.03 * (m[i] / (1 - std::pow(0.8, t)) / (root[i] / std::sqrt(1 - std::pow(0.95, t)) + 1e-6) + 0.1 * x[i]);
        worst = std::max(worst, std::abs(x[i] - p.data_ptr<double>()[i]));
      }
      for (std::size_t begin = 0; begin < kNumbers; begin += static_cast<std::size_t>(block)) {
        const std::size_t end = std::min(kNumbers, begin + static_cast<std::size_t>(block));
        round_block(m, begin, end, signs, true);
        round_block(root, begin, end, roots, false);
      }
    }
    CAPTURE(block);
    CHECK(worst < 1e-10);
  }
}

TEST_CASE("the first step is AdamW's, and a tensor below `smallest` is trained as by AdamW bit for bit") {
  Rng rng(2);
  const Tensor large = rng.normal({70, 70}), small = rng.normal({50});
  const Tensor a = trained(large), b = trained(small), c = trained(large), d = trained(small);
  AdamW exact({a, b}, {.learning_rate = 0.01, .weight_decay = 0.1});
  AdamW8bit rounded({c, d}, {.learning_rate = 0.01, .weight_decay = 0.1});
  for (int i = 0; i < 5; ++i) {
    const Tensor g = rng.normal({70, 70}), h = rng.normal({50});
    a.mutable_grad() = g, c.mutable_grad() = g, b.mutable_grad() = h, d.mutable_grad() = h;
    exact.step();
    rounded.step();
    if (i == 0) CHECK((a - c).abs().max().item<double>() < 5e-7);
    CHECK(b.equal(d));
  }
  CHECK_FALSE(a.equal(c));
  const auto state = rounded.state();
  CHECK((state.at("0.first").scalar_type() == at::kByte));
  CHECK((state.at("1.first").scalar_type() == at::kFloat));
}

TEST_CASE("the distance to AdamW is within the stated shares of the way, for several spreads, decays and seeds") {
  for (const auto& row : {std::pair{0.0, 0.03}, std::pair{0.3, 0.07}, std::pair{1.0, 0.2}})
    for (const double beta2 : {0.99, 0.999})
      for (const std::uint64_t seed : {1, 2, 3}) {
        const double error = relative_error(row.first, beta2, seed, 500);
        MESSAGE("deviation ", row.first, " beta2 ", beta2, " seed ", seed, ": ", error);
        CHECK(error < row.second);
        CHECK(error > 1e-4);
      }
}

TEST_CASE("a gradient that is tiny beside its block's others keeps its second moment: no step is beyond the bound") {
  // of a second moment rounded itself the small ones would become 0 beside a first moment that does not
  const Tensor p = trained(at::zeros({256}));
  AdamW8bit optimizer({p}, {.learning_rate = 1e-3, .smallest = 0});
  Rng rng(3);
  for (int i = 0; i < 200; ++i) {
    const Tensor before = p.detach().clone();
    Tensor g = 1e-6 * rng.normal({256});
    g[0] = 1.0;
    p.mutable_grad() = g;
    optimizer.step();
    // |m| / root <= (1 - beta1) / sqrt(1 - beta2) at most (Kingma & Ba 2015, 2.1), here 3.2
    CHECK((p.detach() - before).abs().max().item<double>() <= 1e-3 * 3.2);
  }
}

TEST_CASE("moments take 2 bytes a number and a scale a block, AdamW's 8") {
  const Tensor p = trained(at::zeros({1 << 20}));
  const MemoryMeter meter;
  const auto bytes_of = [&](auto make) {
    const std::int64_t before = meter.live_bytes();
    const auto optimizer = make();
    return static_cast<double>(meter.live_bytes() - before) / (1 << 20);
  };
  const double exact = bytes_of([&] { return AdamW({p}); });
  const double rounded = bytes_of([&] { return AdamW8bit({p}); });
  const double coarse = bytes_of([&] { return AdamW8bit({p}, {.block = 2048}); });
  MESSAGE("bytes a parameter: ", exact, ", ", rounded, ", ", coarse);
  CHECK(exact == doctest::Approx(8).epsilon(0.001));
  CHECK(rounded == doctest::Approx(2 + 8.0 / 256).epsilon(0.001));
  CHECK(coarse == doctest::Approx(2 + 8.0 / 2048).epsilon(0.001));
  AdamW8bit optimizer({p});
  p.mutable_grad() = at::ones({1 << 20});
  optimizer.step();
  const std::int64_t before = meter.live_bytes(), highest = meter.peak_bytes();
  REQUIRE(highest - before < 8 << 20);
  CHECK(optimizer.state().size() == 5);
}

TEST_CASE("half precision, memory formats and parameters without gradients are trained as by AdamW") {
  Rng rng(4);
  const Tensor weights = rng.normal({8, 8, 9, 9});
  const Tensor plain = trained(weights), strided = trained(weights.contiguous(at::MemoryFormat::ChannelsLast));
  REQUIRE_FALSE(strided.is_contiguous());
  const Tensor half = trained(weights.to(at::kBFloat16)), idle = trained(weights);
  AdamW8bit optimizer({plain, strided, half, idle}, {.learning_rate = 0.1});
  for (int i = 0; i < 3; ++i) {
    const Tensor g = rng.normal({8, 8, 9, 9});
    plain.mutable_grad() = g;
    strided.mutable_grad() = g.contiguous(at::MemoryFormat::ChannelsLast);
    half.mutable_grad() = g.to(at::kBFloat16);
    optimizer.step();
  }
  CHECK(plain.equal(strided));
  CHECK((half.to(at::kFloat) - plain).abs().max().item<double>() < 0.05);
  CHECK(idle.equal(weights));
  CHECK(optimizer.state().at("2.step").item<float>() == 3.0F);
  CHECK(optimizer.state().at("3.step").item<float>() == 0.0F);
  optimizer.zero_grad();
  CHECK_FALSE(plain.grad().defined());
}

TEST_CASE("a saved state continues bit for bit; a foreign one is a named error that changes nothing") {
  const auto train = [](AdamW8bit& optimizer, int from, int to) {
    for (int i = from; i < to; ++i) {
      for (const Tensor& p : optimizer.parameters()) p.mutable_grad() = (p.detach() * (i + 1)).sin();
      optimizer.step();
    }
  };
  const auto start = [] { return std::vector<Tensor>{trained(at::linspace(-1, 1, 700)), trained(at::ones({3}))}; };
  const AdamW8bitOptions options{.learning_rate = 0.1, .smallest = 10};
  AdamW8bit whole(start(), options), first(start(), options);
  train(whole, 0, 6);
  train(first, 0, 3);
  std::map<std::string, Tensor> saved;
  for (const auto& [name, tensor] : first.state()) saved[name] = tensor.clone();
  std::vector<Tensor> middle;
  for (const Tensor& p : first.parameters()) middle.push_back(trained(p.detach()));
  AdamW8bit resumed(middle, options);
  resumed.load_state(saved);
  train(resumed, 3, 6);
  CHECK(bit_equal(copies(middle), copies(whole.parameters())));

  auto foreign = saved;
  foreign["0.second"] = at::zeros({5}, at::kByte);
  CHECK_THROWS_WITH_AS(resumed.load_state(foreign),
                       doctest::Contains("[AdamW8bit] state tensor 0.second expected shape [700], got [5]"), Error);
  foreign["0.second"] = at::zeros({700});
  CHECK_THROWS_WITH_AS(resumed.load_state(foreign), doctest::Contains("0.second expected Byte, got Float"), Error);
  AdamW exact(start(), {.learning_rate = 0.1});
  CHECK_THROWS_WITH_AS(resumed.load_state(exact.state()), doctest::Contains("expected 8 tensors, got 6"), Error);
  for (const auto& [name, tensor] : whole.state()) CHECK(resumed.state().at(name).equal(tensor));
}

TEST_CASE("memory that runs out at any allocation of a step leaves weights and moments as they were") {
  const auto check = [](const std::function<void()>& step, const std::function<std::vector<Tensor>()>& all) {
    const std::vector<Tensor> before = all();
    std::int64_t n = 1;
    for (bool failed = true; failed; ++n) {
      const reference::FailingAllocator allocator(n);
      failed = false;
      try {
        step();
      } catch (const c10::OutOfMemoryError&) {
        failed = true;
      }
      if (failed) CHECK(bit_equal(all(), before));
    }
    CHECK(n > 2);  // else nothing was allocated, and nothing tested
    CHECK_FALSE(bit_equal(all(), before));
  };
  const auto tested = [&](auto& optimizer) {
    check([&] { optimizer.step(); },
          [&] {
            std::vector<Tensor> all = copies(optimizer.parameters());
            for (const auto& [name, tensor] : optimizer.state()) all.push_back(tensor.clone());
            return all;
          });
  };
  Rng rng(5);
  std::vector<Tensor> parameters{trained(rng.normal({600})), trained(rng.normal({5})),
                                 trained(rng.normal({400}, at::kDouble)), trained(rng.normal({3}, at::kDouble))};
  AdamW exact(parameters, {.weight_decay = 0.1});
  parameters.push_back(trained(rng.normal({4, 8, 8, 8}).contiguous(at::MemoryFormat::ChannelsLast)));
  for (const Tensor& p : parameters) p.mutable_grad() = at::ones_like(p);
  AdamW8bit rounded(parameters, {.weight_decay = 0.1, .smallest = 100});
  for (int warm = 0; warm < 2; ++warm) {
    tested(exact);
    tested(rounded);
  }
}

TEST_CASE("AdamW8bit rejects options and parameters it cannot train") {
  const Tensor p = trained(at::ones({1}));
  CHECK_THROWS_WITH_AS(AdamW8bit({}), "[AdamW8bit] expected at least one parameter, got none", Error);
  CHECK_THROWS_WITH_AS(AdamW8bit({at::ones({1})}), doctest::Contains("a leaf that requires a gradient"), Error);
  CHECK_THROWS_WITH_AS(AdamW8bit({p}, {.learning_rate = 0}), "[AdamW8bit] learning_rate must be > 0, got 0", Error);
  CHECK_THROWS_WITH_AS(AdamW8bit({p}, {.beta2 = 1}), "[AdamW8bit] beta2 must be in [0, 1), got 1", Error);
  CHECK_THROWS_WITH_AS(AdamW8bit({p}, {.block = 0}), "[AdamW8bit] block must be >= 1, got 0", Error);
  CHECK_THROWS_WITH_AS(AdamW8bit({p}, {.smallest = -1}), "[AdamW8bit] smallest must be >= 0, got -1", Error);
  AdamW8bit optimizer({p});
  CHECK_THROWS_WITH_AS(optimizer.scale_learning_rate(-1),
                       "[AdamW8bit] a factor on the learning rate must be >= 0, got -1", Error);
}

}  // namespace adamw_8bit_test
