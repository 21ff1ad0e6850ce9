// The state of a part of a list under the whole list's names, and back.
#include <doctest/doctest.h>

#include <ATen/ops/full.h>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/optim/part_state.hpp>

namespace part_state_test {
namespace {

using State = std::map<std::string, at::Tensor>;

State named(const std::vector<std::string>& names) {
  State out;
  for (const auto& name : names) out[name] = at::full({}, static_cast<double>(out.size()));
  return out;
}

}  // namespace
}  // namespace part_state_test

TEST_CASE("a part's state gets the whole list's indices, and comes back from the whole list's state") {
  using namespace part_state_test;
  const State part = named({"0.first", "0.step", "1.first", "2.a.b"});
  const std::vector<std::size_t> own{1, 10, 12};
  const State whole = reward_tuner::state_of_whole(part, own);
  CHECK(whole.size() == 4);
  CHECK(whole.at("1.step").is_same(part.at("0.step")));
  CHECK(whole.at("10.first").is_same(part.at("1.first")));
  CHECK(whole.at("12.a.b").is_same(part.at("2.a.b")));
  State all = whole;
  for (auto& [name, tensor] : named({"0.first", "2.first", "11.step"})) all.emplace(name, tensor);
  const State back = reward_tuner::state_of_part(all, own, 13);
  CHECK(back.size() == part.size());
  for (const auto& [name, tensor] : part) CHECK(back.at(name).is_same(tensor));
  CHECK(reward_tuner::state_of_part(all, {}, 13).empty());
}

TEST_CASE("names of another form and indices beyond the list are errors") {
  using namespace part_state_test;
  for (const char* name : {"first", "x.first", "-1.first", "1first", "1", ""}) {
    CAPTURE(name);
    const std::string expected = "expected a name as 3.first, got " + std::string(name);
    CHECK_THROWS_WITH_AS(reward_tuner::state_of_whole(named({name}), {0, 1}), doctest::Contains(expected.c_str()),
                         reward_tuner::Error);
    CHECK_THROWS_WITH_AS(reward_tuner::state_of_part(named({name}), {0, 1}, 4), doctest::Contains(expected.c_str()),
                         reward_tuner::Error);
  }
  CHECK_THROWS_WITH_AS(reward_tuner::state_of_whole(named({"2.first"}), {0, 1}),
                       doctest::Contains("expected an index below 2, got 2.first"), reward_tuner::Error);
  CHECK_THROWS_WITH_AS(reward_tuner::state_of_part(named({"4.first"}), {0, 1}, 4),
                       doctest::Contains("expected an index below 4, got 4.first"), reward_tuner::Error);
}
