// Per-sample noise streams.
#include <doctest/doctest.h>

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
