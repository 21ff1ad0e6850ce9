// A tuner's state in a checkpoint: everything comes back bit for bit, tasks and their tensors included, and
// states that lack something are refused.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/run/tuner_state_json.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace tuner_state_json_test {
namespace {

using namespace reward_tuner;

TunerState leaf(std::uint64_t seed) {
  Rng rng(seed);
  TunerState s{.updates = static_cast<std::int64_t>(seed) + 5,
               .skipped = 2,
               .skipped_in_a_row = 1,
               .gradient_scale = {.value = 0x1p13, .steps = static_cast<std::int64_t>(seed), .overflows = 4}};
  if (seed % 2 == 1) s.retained_rows = static_cast<std::int64_t>(seed) - 1;  // of 0 too
  s.history.rounds["a \"red\" circle\n\u00e9\u4e2d"] = {
      {}, {0.1, -0.0, 1e-310, 1.0 / 3}, {}, {std::numeric_limits<double>::max(), rng.uniform()}};
  s.history.rounds["only empty rounds"] = {{}, {}};
  s.history.rounds["no round"] = {};
  s.history.rounds[""] = {{1.0}};
  s.tensors["value.0"] = rng.normal({3, 2});
  s.tensors["optimizer.0.step"] = at::full({}, 7.0, at::kFloat);
  s.tensors["wide"] = rng.normal({2}, at::kDouble);
  return s;
}

/// Through text, as a checkpoint goes.
TunerState through_text(const TunerState& s) {
  std::map<std::string, Tensor> tensors = {
      {"parameter.value.0", at::zeros({1})}, {"optimizer.0.step", at::zeros({})}, {"rng", at::zeros({4}, at::kByte)}};
  add_tensors(s, tensors);
  return tuner_state_from_json(nlohmann::json::parse(to_json(s).dump(2)), tensors);
}

}  // namespace
}  // namespace tuner_state_json_test

TEST_CASE("a state comes back bit for bit, empty rounds and odd prompts included") {
  using namespace tuner_state_json_test;
  CHECK(through_text({}) == TunerState{});
  for (const std::uint64_t seed : {1, 2, 3}) {
    const TunerState s = leaf(seed), back = through_text(s);
    CHECK(back == s);
    CHECK(back.tensors.size() == 3);
    CHECK((back.tensors.at("wide").scalar_type() == at::kDouble));
    const auto& rounds = back.history.rounds.at("a \"red\" circle\n\u00e9\u4e2d");
    CHECK(rounds[0].empty());
    CHECK(std::signbit(rounds[1][1]));
    CHECK(back.history.rounds.at("only empty rounds").size() == 2);
  }
}

TEST_CASE("tasks keep their tensors apart, nested ones and more than ten of them too") {
  using namespace tuner_state_json_test;
  TunerState whole;
  whole.updates = 9;
  for (std::uint64_t i = 0; i < 12; ++i) {
    whole.tasks.push_back(leaf(i));
    if (i % 2 == 0) whole.tasks.back().prompt_position = {static_cast<std::int64_t>(i), 3};
  }
  whole.tasks[1].tasks = {leaf(20), leaf(21)};
  whole.tasks[1].tasks[0].tasks = {leaf(30)};
  whole.tensors["value.0"] = at::ones({2});
  const TunerState back = through_text(whole);
  CHECK(back == whole);
  CHECK(back.tensors.size() == 1);
  CHECK(back.tasks[1].tensors.size() == 3);
  CHECK(back.tasks[11].tensors.at("value.0").equal(whole.tasks[11].tensors.at("value.0")));
  CHECK_FALSE(back.tasks[1].tensors.at("value.0").equal(back.tasks[11].tensors.at("value.0")));
  std::map<std::string, Tensor> names;
  add_tensors(whole, names);
  CHECK(names.contains("tuner.value.0"));
  CHECK(names.contains("tuner.task1.task0.task0.value.0"));
}

TEST_CASE("what is read is independent of the checkpoint's tensors") {
  using namespace tuner_state_json_test;
  TunerState s = leaf(1);
  std::map<std::string, Tensor> tensors;
  add_tensors(s, tensors);
  const TunerState back = tuner_state_from_json(to_json(s), tensors);
  tensors.at("tuner.value.0").zero_();
  CHECK(back.tensors.at("value.0").abs().max().item<double>() > 0);
}

TEST_CASE("states that lack a field, or have one of another kind, are refused") {
  using namespace tuner_state_json_test;
  const nlohmann::json whole = to_json(TunerState{.updates = 4, .skipped = 1});
  CHECK(tuner_state_from_json(whole, {}) == TunerState{.updates = 4, .skipped = 1});
  for (const auto& field : whole.items()) {
    CAPTURE(field.key());
    nlohmann::json other = whole;
    other.erase(field.key());
    CHECK_THROWS_AS(tuner_state_from_json(other, {}), nlohmann::json::exception);
    other[field.key()] = "four";
    CHECK_THROWS_AS(tuner_state_from_json(other, {}), nlohmann::json::exception);
  }
  nlohmann::json other = whole;
  other["history"] = {{"a", "b"}};
  CHECK_THROWS_AS(tuner_state_from_json(other, {}), nlohmann::json::exception);
}

TEST_CASE("states differ when any part of them does") {
  using namespace tuner_state_json_test;
  const TunerState s = leaf(1);
  const auto differs = [&](auto change) {
    TunerState other = leaf(1);
    CHECK(other == s);
    change(other);
    CHECK_FALSE(other == s);
  };
  differs([](TunerState& t) { ++t.updates; });
  differs([](TunerState& t) { ++t.skipped; });
  differs([](TunerState& t) { ++t.skipped_in_a_row; });
  differs([](TunerState& t) { t.gradient_scale.value *= 2; });
  differs([](TunerState& t) { ++t.gradient_scale.steps; });
  differs([](TunerState& t) { ++t.gradient_scale.overflows; });
  differs([](TunerState& t) { t.history.rounds["no round"].push_back({}); });
  differs([](TunerState& t) { t.tensors["value.0"] = t.tensors["value.0"] + 1; });
  differs([](TunerState& t) { t.tensors["another"] = at::zeros({1}); });
  differs([](TunerState& t) { t.tensors.erase("wide"), t.tensors["wider"] = at::zeros({1}); });
  differs([](TunerState& t) { t.prompt_position = {0, 0}; });
  differs([](TunerState& t) { t.retained_rows = 5; });
  differs([](TunerState& t) { t.retained_rows.reset(); });
  differs([](TunerState& t) { t.tasks.emplace_back(); });
}
