// Per-sample noise streams.
#include <doctest/doctest.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/engine/sample_noise.hpp>

TEST_CASE("a sample's noise does not depend on batch or micro-batch") {
  using namespace reward_tuner;
  const auto options = at::TensorOptions().dtype(at::kDouble);
  SampleNoise whole({11, 12, 13});
  const Tensor first = whole.normal({3, 2, 4}, options), second = whole.normal({3, 2, 4}, options);
  CHECK_FALSE(first.equal(second));
  SampleNoise alone({12});
  CHECK(alone.normal({1, 2, 4}, options).equal(first.narrow(0, 1, 1)));
  CHECK(alone.normal({1, 2, 4}, options).equal(second.narrow(0, 1, 1)));
  SampleNoise parts({11, 12, 13});
  SampleNoise tail = parts.narrow(1, 2);
  CHECK(tail.size() == 2);
  CHECK(tail.normal({2, 2, 4}, options).equal(first.narrow(0, 1, 2)));
  CHECK(parts.normal({3, 2, 4}, options).equal(first));  // a part draws for itself
  CHECK(parts.narrow(1, 2).normal({2, 2, 4}, options).equal(second.narrow(0, 1, 2)));
}

TEST_CASE("drawn streams are reproducible, and different from one another") {
  using namespace reward_tuner;
  Rng a(5), b(5);
  const Tensor x = SampleNoise::draw(4, a).normal({4, 16}, at::kFloat);
  CHECK(x.equal(SampleNoise::draw(4, b).normal({4, 16}, at::kFloat)));
  CHECK_FALSE(x.equal(SampleNoise::draw(4, b).normal({4, 16}, at::kFloat)));
  for (int i = 1; i < 4; ++i) CHECK_FALSE(x[0].equal(x[i]));
}

TEST_CASE("a shape for another number of samples is a named error") {
  using namespace reward_tuner;
  SampleNoise noise({1, 2});
  CHECK_THROWS_WITH_AS(noise.normal({3, 4}, at::kFloat), doctest::Contains("begins with the 2 samples"), Error);
  CHECK_THROWS_AS(noise.normal({}, at::kFloat), Error);
}

TEST_CASE("recorded noise comes out block by block, in parts too, and ends with a named error") {
  using namespace reward_tuner;
  const Tensor a = at::arange(6, at::kDouble).view({3, 2}), b = -a;
  SampleNoise noise = SampleNoise::recorded({a, b});
  CHECK(noise.normal({3, 2}, at::kDouble).equal(a));
  SampleNoise part = noise.narrow(1, 2);
  CHECK(part.normal({2, 2}, at::kDouble).equal(b.narrow(0, 1, 2)));
  CHECK((noise.normal({3, 2}, at::kFloat).scalar_type() == at::kFloat));
  CHECK_THROWS_WITH_AS(noise.normal({3, 2}, at::kDouble),
                       doctest::Contains("expected a recorded block number 3 of shape [3, 2], got 2 blocks"), Error);
  CHECK_THROWS_WITH_AS(SampleNoise::recorded({a}).normal({3, 3}, at::kDouble),
                       doctest::Contains("of shape [3, 3], got 1 blocks of shape [3, 2]"), Error);
  CHECK_THROWS_WITH_AS(SampleNoise::recorded({}), doctest::Contains("expected at least one recorded block"), Error);
  CHECK(SampleNoise({7, 8}).seeds() == std::vector<std::uint64_t>{7, 8});
  CHECK(SampleNoise({7, 8, 9}).narrow(1, 2).seeds() == std::vector<std::uint64_t>{8, 9});
}
