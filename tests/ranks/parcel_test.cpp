// Parcels: every kind of value comes back bit for bit, in order, and nothing else does.
#include <doctest/doctest.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/ranks/parcel.hpp>

namespace {
using namespace reward_tuner;
}  // namespace

TEST_CASE("a parcel gives what was put into it, bit for bit") {
  Parcel sent;
  sent.add_integer(std::numeric_limits<std::int64_t>::min());
  sent.add_number(-0.0);
  sent.add_number(std::numeric_limits<double>::quiet_NaN());
  sent.add_number(5e-324);
  sent.add_text(std::string("two\0words", 9));
  sent.add_text("");
  const Tensor table = at::arange(24, at::kFloat).reshape({2, 3, 4}).transpose(0, 2);
  for (const auto type : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kLong, at::kBool, at::kByte})
    sent.add_tensor(table.to(type));
  sent.add_tensor({});
  sent.add_tensor(at::empty({0, 5}));
  sent.add_tensor(at::full({}, 2.5, at::kDouble));
  Parcel got(sent.bytes());
  CHECK(got.integer() == std::numeric_limits<std::int64_t>::min());
  CHECK(std::signbit(got.number()));
  CHECK(std::isnan(got.number()));
  CHECK(got.number() == 5e-324);
  CHECK(got.text() == std::string("two\0words", 9));
  CHECK(got.text().empty());
  for (const auto type : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kLong, at::kBool, at::kByte}) {
    const Tensor back = got.tensor(at::kCPU);
    CHECK((back.scalar_type() == type));
    CHECK(back.equal(table.to(type)));
  }
  CHECK_FALSE(got.tensor(at::kCPU).defined());
  CHECK(got.tensor(at::kCPU).sizes() == at::IntArrayRef({0, 5}));
  const Tensor number = got.tensor(at::kCPU);
  CHECK(number.dim() == 0);
  CHECK(number.item<double>() == 2.5);
  CHECK(got.at_end());
}

TEST_CASE("a parcel that is read as something else says so") {
  Parcel sent;
  sent.add_integer(3);
  Parcel other(sent.bytes());
  CHECK_THROWS_WITH_AS(other.number(),
                       "[Ranks] a parcel of another rank holds another value: expected the kind n, got i", Error);
  Parcel ended(sent.bytes());
  ended.integer();
  CHECK_THROWS_WITH_AS(ended.text(), "[Ranks] a parcel of another rank is too short: expected 1 more bytes, got 0",
                       Error);
  Parcel cut(sent.bytes().substr(0, 4));
  CHECK_THROWS_WITH_AS(cut.integer(), "[Ranks] a parcel of another rank is too short: expected 8 more bytes, got 3",
                       Error);
}
