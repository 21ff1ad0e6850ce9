// Random streams: reproducible, independent, restorable, and distributed as they say.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/tensor/rng.hpp>

TEST_CASE("a seed fixes the stream, neighboring seeds are unrelated") {
  using namespace reward_tuner;
  CHECK(Rng(4).normal({64}).equal(Rng(4).normal({64})));
  const Tensor a = Rng(4).normal({20000}), b = Rng(5).normal({20000});
  CHECK(std::abs((a * b).mean().item<double>()) < 4.5 / std::sqrt(20000.0));
  CHECK(Rng::derive(1, 2).bits() == Rng::derive(1, 2).bits());
  CHECK(Rng::derive(1, 2).bits() != Rng::derive(2, 1).bits());
  CHECK(Rng::derive(1, 2).bits() != Rng::derive(1, 3).bits());
}

TEST_CASE("a saved state continues bit for bit; a clone goes on alone, and nothing shares a stream") {
  using namespace reward_tuner;
  Rng rng(9);
  rng.normal({3});  // an odd number of normals leaves one cached
  const Tensor state = rng.state();
  const Tensor normals = rng.normal({37}, at::kDouble);
  const auto bits = rng.bits();
  Rng other(1);
  other.set_state(state);
  CHECK(other.normal({37}, at::kDouble).equal(normals));
  CHECK(other.bits() == bits);
  static_assert(!std::is_copy_constructible_v<Rng> && !std::is_copy_assignable_v<Rng>);
  static_assert(std::is_nothrow_move_constructible_v<Rng> && std::is_nothrow_move_assignable_v<Rng>);
  Rng original(3), twin(3);
  original.normal({3}), twin.normal({3});
  Rng copy = original.clone();
  const Tensor ahead = copy.normal({37}, at::kDouble);
  CHECK(original.normal({37}, at::kDouble).equal(ahead));  // untouched by the clone's draws
  CHECK(twin.normal({37}, at::kDouble).equal(ahead));
  Rng moved = std::move(original);
  CHECK(moved.bits() == twin.bits());
}

TEST_CASE("integers are uniform over both ends, uniforms stay in [0, 1)") {
  using namespace reward_tuner;
  Rng rng(2);
  std::vector<int> hits(7);
  constexpr int kDraws = 14000;
  for (int i = 0; i < kDraws; ++i) ++hits.at(static_cast<std::size_t>(rng.integer(-3, 3) + 3));
  for (const int h : hits) CHECK(std::abs(h - kDraws / 7) < 4.5 * std::sqrt(kDraws / 7.0 * 6 / 7));
  CHECK(rng.integer(5, 5) == 5);
  CHECK_NOTHROW(rng.integer(INT64_MIN, INT64_MAX));
  CHECK_THROWS_WITH_AS(rng.integer(2, 1), doctest::Contains("needs low <= high, got 2 and 1"), Error);
  double sum = 0;
  for (int i = 0; i < 4000; ++i) {
    const double u = rng.uniform();
    REQUIRE((u >= 0 && u < 1));
    sum += u;
  }
  CHECK(std::abs(sum / 4000 - 0.5) < 0.02);
}

TEST_CASE("normals have mean 0 and deviation 1; permutations hold every number once") {
  using namespace reward_tuner;
  Rng rng(6);
  const Tensor x = rng.normal({100, 100}, at::kDouble);
  CHECK((x.scalar_type() == at::kDouble));
  CHECK(std::abs(x.mean().item<double>()) < 0.045);
  CHECK(std::abs(x.std().item<double>() - 1) < 0.04);
  CHECK(std::get<0>(rng.permutation(50).sort()).equal(at::arange(50)));
  CHECK((rng.normal({4}, at::kBFloat16).scalar_type() == at::kBFloat16));
}
