// An optimizer divided among ranks: the bits of one over all parameters, a state that fits both, its size, its errors.
#include <doctest/doctest.h>

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/optim/adamw_8bit.hpp>
#include <reward_tuner/optim/optimizer_concept.hpp>
#include <reward_tuner/ranks/sharded_optimizer.hpp>
#include <reward_tuner/tensor/rng.hpp>

#include <tests/reference/counting_link.hpp>
#include <tests/reference/tensor_lists.hpp>
#include <tests/reference/thread_ranks.hpp>

namespace sharded_optimizer_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

using State = std::map<std::string, Tensor>;

/// The largest is longer than a message, some are smaller than what AdamW8bit rounds.
const std::vector<std::vector<std::int64_t>> kShapes = {{3, 2}, {600, 1000}, {5000}, {1}, {64, 100}, {7}, {}};
constexpr std::size_t kWithoutGradient = 4;  // in every second step

std::vector<Tensor> parameters(at::ScalarType type) {
  Rng rng(1);
  std::vector<Tensor> out;
  for (const auto& shape : kShapes) out.push_back(rng.normal(shape, type).requires_grad_());
  return out;
}

template <class Optim>
void train(Optim& optimizer, int begin, int end) {
  for (int step = begin; step < end; ++step) {
    optimizer.scale_learning_rate(1 / (1.0 + step));
    std::vector<Tensor> trained = optimizer.parameters();
    for (std::size_t i = 0; i < trained.size(); ++i) {
      if (i == kWithoutGradient && step % 2 == 1) continue;
      Rng rng = Rng::derive(static_cast<std::uint64_t>(step), i);
      trained[i].mutable_grad() = rng.normal(trained[i].sizes().vec(), trained[i].scalar_type());
    }
    clip_gradients(optimizer, 1.0);
    optimizer.step();
    optimizer.zero_grad();
    for (const Tensor& p : trained) REQUIRE_FALSE(p.grad().defined());
  }
}

void check_equal(const State& expected, const State& got) {
  REQUIRE(got.size() == expected.size());
  for (const auto& entry : expected) {
    const auto& name = entry.first;
    const auto& tensor = entry.second;
    CAPTURE(name);
    CHECK(got.at(name).equal(tensor));
    CHECK((got.at(name).scalar_type() == tensor.scalar_type()));
  }
}

/// `before` steps on some ranks, then `after` more on others from the state that was saved.
template <class Optim, class Options>
void check_moves(const Options& options, at::ScalarType type, int ranks_before, int ranks_after) {
  constexpr int kBefore = 3, kAfter = 5;
  auto expected = parameters(type);
  Optim alone(expected, options);
  train(alone, 0, kBefore);
  const auto expected_between = copies(expected);
  State saved;
  on_ranks(ranks_before, [&](const Ranks& ranks) {
    auto own = parameters(type);
    ShardedOptimizer<Optim> optimizer(ranks, own, options);
    train(optimizer, 0, kBefore);
    CHECK(bit_equal(own, expected_between));
    State state = optimizer.state();
    CHECK((state.size() == alone.state().size()) == ranks.first());
    if (ranks.first()) saved = std::move(state);
  });
  check_equal(alone.state(), saved);
  train(alone, kBefore, kAfter);
  on_ranks(ranks_after, [&](const Ranks& ranks) {
    std::vector<Tensor> own;
    for (const Tensor& p : expected_between) own.push_back(p.clone().requires_grad_());
    ShardedOptimizer<Optim> optimizer(ranks, own, options);
    optimizer.load_state(saved);
    train(optimizer, kBefore, kAfter);
    CHECK(bit_equal(own, expected));
    const State state = optimizer.state();
    if (ranks.first()) check_equal(alone.state(), state);
  });
  Optim plain(expected, options);
  plain.load_state(saved);
  check_equal(saved, plain.state());
}

}  // namespace
}  // namespace sharded_optimizer_test

TEST_CASE(
    "weights and state have the bits of an optimizer that is not divided, before and after another number of "
    "ranks goes on") {
  using namespace sharded_optimizer_test;
  const AdamWOptions exact{.learning_rate = 1e-2, .weight_decay = 0.1};
  const AdamW8bitOptions rounded{.learning_rate = 1e-2, .weight_decay = 0.1};
  for (const auto& steps : {std::pair(1, 2), std::pair(2, 3), std::pair(3, 1), std::pair(7, 2)}) {
    const int before = steps.first, after = steps.second;
    CAPTURE(before);
    CAPTURE(after);
    check_moves<AdamW>(exact, at::kFloat, before, after);
    check_moves<AdamW>(exact, at::kDouble, before, after);
    check_moves<AdamW8bit>(rounded, at::kFloat, before, after);
  }
}

TEST_CASE("parameters of several dtypes and views travel bit for bit") {
  using namespace sharded_optimizer_test;
  on_ranks(3, [](const Ranks& ranks) {
    const double sign = ranks.first() ? 1 : -1;  // only an owner's values count
    Tensor wide = (sign * at::ones({4, 6}, at::kDouble)).t();
    std::vector<Tensor> own{wide, sign * at::ones({5}, at::kHalf), sign * at::ones({}, at::kFloat),
                            sign * at::ones({2, 3}, at::kBFloat16)};
    share_owned(ranks, own, {0, 0, 0, 1});
    for (std::size_t i = 0; i < 3; ++i) CHECK(own[i].equal(at::ones_like(own[i])));
    CHECK(own[3].equal(-at::ones_like(own[3])));
    CHECK_FALSE(own[0].is_contiguous());
  });
}

TEST_CASE("owned tensors travel in messages of at least a MiB, but for a rank's last") {
  using namespace sharded_optimizer_test;
  std::vector<Tensor> some;
  for (const std::int64_t numbers : {100'000, 200'000, 300'000, 5, 7}) some.push_back(at::zeros({numbers}));
  on_ranks(2, [&](const Ranks& ranks) {
    Sent sent;
    std::vector<Tensor> own;
    for (const Tensor& one : some) own.push_back(one.clone());
    share_owned(Ranks(std::make_shared<CountingLink>(*ranks.link(), sent)), own, {0, 0, 0, 0, 1});
    CHECK(sent.messages == std::vector<std::int64_t>{1'200'000, 1'200'000, 20, 28});
  });
}

TEST_CASE("the numbers of the ranks differ by less than one tensor has, and no rank is without any") {
  using namespace sharded_optimizer_test;
  Rng rng(2);
  for (int draw = 0; draw < 20; ++draw) {
    std::vector<Tensor> some;
    const std::int64_t count = 4 + static_cast<std::int64_t>(rng.bits() % 40);
    std::int64_t largest = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      some.push_back(at::zeros({static_cast<std::int64_t>(rng.bits() % 1000)}));
      largest = std::max(largest, some.back().numel());
    }
    on_ranks(4, [&](const Ranks& ranks) {
      const auto owner = owners(ranks, some);
      std::vector<std::int64_t> numbers(4, 0), tensors(4, 0);
      for (std::size_t i = 0; i < some.size(); ++i) {
        numbers.at(static_cast<std::size_t>(owner[i])) += some[i].numel();
        ++tensors.at(static_cast<std::size_t>(owner[i]));
      }
      const auto [least, most] = std::minmax_element(numbers.begin(), numbers.end());
      CHECK(*most - *least <= largest);
      CHECK(*std::min_element(tensors.begin(), tensors.end()) >= 1);
    });
  }
}

TEST_CASE("each rank holds the moments of its own part alone") {
  using namespace sharded_optimizer_test;
  std::mutex mutex;
  std::int64_t whole = 0;
  on_ranks(3, [&](const Ranks& ranks) {
    std::vector<Tensor> own;
    for (int i = 0; i < 9; ++i) own.push_back(at::zeros({1000}).requires_grad_());
    const ShardedOptimizer<AdamW> optimizer(ranks, own);
    const State state = optimizer.state();
    const std::lock_guard lock(mutex);
    if (ranks.first()) {
      CHECK(state.size() == 27);
    } else {
      CHECK(state.size() == 9);
      for (const auto& [name, tensor] : state) whole += tensor.numel();
    }
  });
  CHECK(whole == 2 * 3 * (2 * 1000 + 1));
}

TEST_CASE("errors name what was found") {
  using namespace sharded_optimizer_test;
  const auto message = [](const auto& call) {
    try {
      call();
    } catch (const Error& problem) {
      return std::string(problem.what());
    }
    return std::string("no error");
  };
  const std::vector<Tensor> two{at::zeros({3}).requires_grad_(), at::zeros({3}).requires_grad_()};
  CHECK(message([&] {
          on_ranks(3, [&](const Ranks& ranks) { ShardedOptimizer<AdamW> none(ranks, two); });
        }).find("[ShardedOptimizer] expected at least as many parameters as ranks, got 2 of 3") == 0);
  CHECK(message([&] { ShardedOptimizer<AdamW> none(Ranks(), {}); }).find("[AdamW] expected at least one") == 0);
  ShardedOptimizer<AdamW> optimizer(Ranks(), two, {.learning_rate = 0.5});
  CHECK(optimizer.learning_rate() == 0.5);
  State state = optimizer.state();
  State other = state;
  other.emplace("2.first", at::zeros({3}));
  CHECK(message([&] { optimizer.load_state(other); }).find("expected an index below 2, got 2.first") !=
        std::string::npos);
  state.erase("1.first");
  CHECK(message([&] { optimizer.load_state(state); }).find("[AdamW] state expected 6 tensors, got 5") == 0);
}
