// The dynamic code of 8 bits: its values as the paper describes them, nearest rounding by a search over all codes, and
// the stated errors.
#include <doctest/doctest.h>

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include <reward_tuner/optim/block_quantization.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace block_quantization_test {
namespace {

using namespace reward_tuner;

struct Encoded {
  Tensor codes, scales, decoded;
};

Encoded round_trip(const DynamicCode& code, const Tensor& numbers) {
  const DynamicCode::Scratch scratch{at::empty_like(numbers), at::empty(numbers.sizes(), at::kInt),
                                     at::empty({numbers.size(0), 1}, numbers.options())};
  Encoded e{at::empty(numbers.sizes(), at::kByte), at::empty({numbers.size(0), 1}, numbers.options()),
            at::empty_like(numbers)};
  code.encode(numbers.clone(), e.codes, e.scales, scratch);
  code.decode(e.decoded, e.codes, e.scales, scratch);
  return e;
}

}  // namespace

TEST_CASE("the code has 256 values: of each power of ten the middles of equal intervals, 0 and 1") {
  for (const bool with_sign : {true, false}) {
    const Tensor values = DynamicCode(with_sign, at::kDouble).values();  // [256]
    REQUIRE(values.numel() == 256);
    CHECK(values.diff().min().item<double>() > 0);
    CHECK(values.max().item<double>() == 1);
    CHECK(values.eq(0).sum().item<std::int64_t>() == 1);
    // the paper's bits: after the sign zeros say the power, a one ends them, the rest is the fraction
    const int bits = with_sign ? 7 : 8;
    for (int power = 0; power < 7; ++power) {
      const double low = std::pow(10.0, -power - 1), high = std::pow(10.0, -power);
      const Tensor inside = values.masked_select(values.gt(low).logical_and(values.lt(high)));
      CHECK(inside.numel() == std::int64_t{1} << (bits - 1 - power));
      CHECK(inside.mean().item<double>() == doctest::Approx((low + high) / 2));
    }
    CHECK(values.min().item<double>() == doctest::Approx(with_sign ? -(1 - 0.9 / 128) : 0));
  }
}

TEST_CASE("a number gets the nearest code of its block; without a sign nothing above 0 becomes 0") {
  for (const std::uint64_t seed : {1, 2, 3})
    for (const bool with_sign : {true, false}) {
      Rng rng(seed);
      // sizes over eight powers of ten, block by block of another scale
      Tensor numbers = rng.normal({5, 100}, at::kDouble) * at::pow(10.0, 8 * rng.uniform({5, 100}, at::kDouble) - 7) *
                       at::pow(10.0, at::arange(-2, 3, at::kDouble)).unsqueeze(1);  // [5,100]
      if (!with_sign) numbers = numbers.abs();
      numbers[1].zero_();
      numbers[2][7] = 0;
      const DynamicCode code(with_sign, at::kDouble);
      const Encoded e = round_trip(code, numbers);
      CHECK(e.scales.squeeze(1).equal(numbers.abs().amax(1)));
      CHECK(e.decoded[1].eq(0).all().item<bool>());
      CHECK(e.decoded[2][7].item<double>() == 0);
      for (std::int64_t b = 0; b < 5; ++b) {
        if (b == 1) continue;
        const Tensor unit = numbers[b] / e.scales[b];                                    // [100]
        const Tensor distance = (unit.unsqueeze(1) - code.values().unsqueeze(0)).abs();  // [100,256]
        const Tensor own = distance.gather(1, e.codes[b].to(at::kLong).unsqueeze(1)).squeeze(1);
        const Tensor rounded_up =
            with_sign ? at::zeros_like(unit).to(at::kBool) : unit.gt(0).logical_and(unit.lt(code.values()[1] / 2));
        CHECK(own.sub(std::get<0>(distance.min(1))).masked_fill(rounded_up, 0).max().item<double>() < 1e-15);
        if (!with_sign) CHECK(e.codes[b].eq(0).equal(numbers[b].eq(0)));
      }
    }
}

TEST_CASE("the error of a number is within the stated bounds") {
  for (const bool with_sign : {true, false}) {
    const DynamicCode code(with_sign, at::kDouble);
    const Tensor sizes = at::cat({at::ones({1}, at::kDouble), at::logspace(-9, 0, 20001, 10.0, at::kDouble)});
    for (const double sign : with_sign ? std::vector<double>{1, -1} : std::vector<double>{1}) {
      const Tensor numbers = (sign * sizes).unsqueeze(0).contiguous();  // [1,20002]
      const Tensor error = (round_trip(code, numbers).decoded - numbers).abs().squeeze(0);
      const double large = error.masked_select(sizes.ge(0.1)).max().item<double>();
      const double middle =
          (error / sizes).masked_select(sizes.lt(0.1).logical_and(sizes.ge(1e-5))).max().item<double>();
      const double low = (error / sizes).masked_select(sizes.lt(1e-5).logical_and(sizes.ge(1e-7))).max().item<double>();
      MESSAGE("from 0.1 on ", 1 / large, ", down to 1e-5 ", middle, ", to 1e-7 ", low);
      CHECK(large <= (with_sign ? 1 / 142.0 : 1 / 284.0));
      CHECK(middle <= (with_sign ? 0.5 : 0.3));
      CHECK(low <= (with_sign ? 1.01 : 2.25));
    }
  }
}

}  // namespace block_quantization_test
