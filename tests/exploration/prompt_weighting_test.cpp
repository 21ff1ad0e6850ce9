// Random word weights: the formula, what stays as it is, probabilities, the random stream, and errors.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/exploration/prompt_weighting.hpp>

namespace prompt_weighting_test {
namespace {

using namespace reward_tuner;

constexpr std::int64_t L = 8, D = 3;
using Words = std::vector<std::vector<WordTokens>>;

/// Random text states with the given words.
Condition condition(Words words, at::ScalarType dtype = at::kDouble) {
  Rng rng(17);
  const auto B = static_cast<std::int64_t>(words.size());
  const auto states = [&](std::int64_t rows) { return rng.normal({rows, L, D}, at::kDouble).to(dtype); };
  const Tensor positive = states(B), negative = states(B), pooled = states(B).select(1, 0), empty = states(1);
  return {{positive, pooled}, {negative}, std::vector<std::string>(words.size(), "x"), std::move(words), {empty}};
}

/// Which tokens of row b changed, and by what weight each: (E' - E_null)/(E - E_null).
std::vector<std::pair<std::int64_t, double>> changes(const Condition& before, const Condition& after, std::int64_t b) {
  std::vector<std::pair<std::int64_t, double>> out;
  // [L,D]
  const Tensor E = before.positive.embeddings[b], changed = after.positive.embeddings[b],
               E_null = before.empty.embeddings[0];
  for (std::int64_t i = 0; i < L; ++i) {
    if (changed[i].equal(E[i])) continue;
    const Tensor omega = (changed[i] - E_null[i]) / (E[i] - E_null[i]);  // [D]
    CHECK((omega - omega[0]).abs().max().item<double>() < 1e-9);         // one weight for the whole token
    out.emplace_back(i, omega[0].item<double>());
  }
  return out;
}

const Words kWords{{{1, 1}, {2, 3}, {5, 2}}, {}, {{3, 2}}};

}  // namespace

TEST_CASE("one word of every prompt gets one weight at all its tokens, and nothing else changes") {
  const Condition given = condition(kWords);
  const Tensor copy = given.positive.embeddings.clone(), empty = given.empty.embeddings.clone();
  Rng rng(3);
  const PromptWeighting policy({.low = 1.2, .high = 1.5});
  for (int draw = 0; draw < 200; ++draw) {
    const Condition out = policy.condition(given, rng);
    for (std::int64_t b = 0; b < 3; ++b) {
      const auto& words = kWords[static_cast<std::size_t>(b)];
      const auto found = changes(given, out, b);
      if (words.empty()) {
        REQUIRE(found.empty());
        continue;
      }
      REQUIRE_FALSE(found.empty());
      const auto word = std::find(words.begin(), words.end(),
                                  WordTokens{found.front().first, static_cast<std::int64_t>(found.size())});
      REQUIRE((word != words.end()));
      for (std::size_t i = 0; i < found.size(); ++i) {
        REQUIRE(found[i].first == word->first + static_cast<std::int64_t>(i));
        REQUIRE(found[i].second == doctest::Approx(found[0].second).epsilon(1e-9));
        REQUIRE(found[i].second > 1.2 - 1e-9);
        REQUIRE(found[i].second < 1.5 + 1e-9);
      }
    }
    REQUIRE(out.positive.pooled.is_same(given.positive.pooled));
    REQUIRE(out.negative.embeddings.is_same(given.negative.embeddings));
    REQUIRE((out.words == given.words));
    REQUIRE(out.prompts == given.prompts);
  }
  CHECK(given.positive.embeddings.equal(copy));  // the argument is never written to
  CHECK(given.empty.embeddings.equal(empty));
  CHECK(policy.guidance(4.5, 0, 20) == 4.5);
}

TEST_CASE("a weight of 1 is bit-identical, a weight of 0 is the empty prompt") {
  for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
    const Condition given = condition(kWords, dtype);
    Rng rng(3);
    CHECK(PromptWeighting({.low = 1, .high = 1})
              .condition(given, rng)
              .positive.embeddings.equal(given.positive.embeddings));
    const Condition gone = PromptWeighting({.low = 0, .high = 0}).condition(given, rng);
    CHECK(gone.positive.embeddings[2].narrow(0, 3, 2).equal(given.empty.embeddings[0].narrow(0, 3, 2)));
    CHECK((gone.positive.embeddings.scalar_type() == dtype));
  }
}

TEST_CASE("text states of half precision are weighted in single precision and rounded once") {
  const Condition given = condition({{{1, 4}}}, at::kBFloat16);
  Rng rng(8);
  // 1.004 is 1.0 in bfloat16
  const Condition out = PromptWeighting({.low = 1.004, .high = 1.004}).condition(given, rng);
  const Tensor E = given.positive.embeddings.to(at::kFloat), E_null = given.empty.embeddings.to(at::kFloat);
  CHECK(out.positive.embeddings[0].narrow(0, 1, 4).equal(
      (E_null + 1.004 * (E - E_null)).to(at::kBFloat16)[0].narrow(0, 1, 4)));
}

TEST_CASE("every word is drawn with equal probability and the weight is uniform in its range") {
  constexpr int kDraws = 6000;
  const Condition given = condition({{{1, 1}, {2, 3}, {5, 2}}});
  const PromptWeighting policy({.low = 1.1, .high = 1.5});
  for (const std::uint64_t seed : {1, 2, 3}) {
    Rng rng(seed);
    std::vector<int> hits(L), quarters(4);
    double lowest = 9, highest = 0;
    for (int i = 0; i < kDraws; ++i) {
      const auto found = changes(given, policy.condition(given, rng), 0);
      REQUIRE_FALSE(found.empty());
      const double omega = found[0].second;
      ++hits[static_cast<std::size_t>(found[0].first)];
      ++quarters[static_cast<std::size_t>(std::clamp((omega - 1.1) / 0.4 * 4, 0.0, 3.9))];
      lowest = std::min(lowest, omega);
      highest = std::max(highest, omega);
    }
    // 4.5 deviations: 7e-6 each by chance
    const auto bound = [](double p) { return 4.5 * std::sqrt(p * (1 - p) / kDraws); };
    for (const std::size_t first : {1, 2, 5})
      CHECK(std::abs(hits[first] / static_cast<double>(kDraws) - 1.0 / 3) < bound(1.0 / 3));
    for (const int quarter : quarters) CHECK(std::abs(quarter / static_cast<double>(kDraws) - 0.25) < bound(0.25));
    CHECK(lowest > 1.1 - 1e-9);
    CHECK(highest < 1.5 + 1e-9);
    CHECK(highest - lowest > 0.39);
  }
}

TEST_CASE("a prompt's draw does not depend on its neighbors, and equal seeds give equal conditions") {
  const PromptWeighting policy({.low = 1.2, .high = 1.5});
  const std::vector<WordTokens> last{{1, 2}, {4, 1}, {5, 1}};
  std::optional<Tensor> want;
  for (const auto& first : Words{{}, {{1, 1}}, {{1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}}}) {
    Rng rng(11);
    const Tensor row = policy.condition(condition({first, last}), rng).positive.embeddings[1];  // [L,D]
    if (want) CHECK(row.equal(*want));
    want = row;
  }
  Rng a(5), b(5), c(6);
  const Condition given = condition(kWords);
  const Tensor one = policy.condition(given, a).positive.embeddings;
  CHECK(one.equal(policy.condition(given, b).positive.embeddings));
  CHECK_FALSE(one.equal(policy.condition(given, c).positive.embeddings));
  CHECK_FALSE(one.equal(policy.condition(given, a).positive.embeddings));  // drawn anew each time
  const Condition twice = condition({last, last});
  const Condition out = policy.condition(twice, a);
  CHECK(changes(twice, out, 0)[0].second != doctest::Approx(changes(twice, out, 1)[0].second));  // and for every row
}

TEST_CASE("a gradient to the text states takes the word's weight") {
  Condition given = condition({{{2, 2}}});
  given.positive.embeddings.requires_grad_();
  Rng rng(2);
  PromptWeighting({.low = 1.25, .high = 1.25}).condition(given, rng).positive.embeddings.sum().backward();
  Tensor want = at::ones({1, L, D}, at::kDouble);
  want.narrow(1, 2, 2).fill_(1.25);
  CHECK(at::allclose(given.positive.embeddings.grad(), want));
}

TEST_CASE("PromptWeighting acts for the first share of the planned updates") {
  const PromptWeighting policy({.span = {.share = 0.5, .updates = 8}});
  CHECK(policy.active({.num_steps = 20, .update = 3}));
  CHECK_FALSE(policy.active({.num_steps = 20, .update = 4}));
  CHECK_FALSE(policy.active({.num_steps = 20, .update = 4, .planned = 100}));  // its own length wins
}

TEST_CASE("PromptWeighting names what a pipeline lacks") {
  const PromptWeighting policy;
  Rng rng(1);
  const auto with = [&](auto change) {
    Condition given = condition(kWords);
    change(given);
    return policy.condition(given, rng);
  };
  CHECK_THROWS_WITH_AS(with([](Condition& c) { c.words.clear(); }),
                       "[PromptWeighting] needs a pipeline with word positions, expected Condition::words, got none",
                       Error);
  CHECK_THROWS_WITH_AS(with([](Condition& c) { c.empty = {}; }),
                       "[PromptWeighting] needs a pipeline with the encoding of the empty prompt, expected "
                       "Condition::empty, got none",
                       Error);
  CHECK_THROWS_WITH_AS(with([](Condition& c) { c.words.pop_back(); }),
                       "[PromptWeighting] expected Condition::words of 3 prompts, got 2", Error);
  CHECK_THROWS_WITH_AS(with([](Condition& c) { c.empty.embeddings = c.positive.embeddings; }),
                       doctest::Contains("expected Condition::empty of [1,8,3], got [3, 8, 3]"), Error);
  CHECK_THROWS_WITH_AS(with([](Condition& c) { c.positive = {}; }),
                       doctest::Contains("expected text states [3,L,D], got [0]"), Error);
  CHECK_THROWS_WITH_AS(with([](Condition& c) { c.words[0][1] = {6, 3}; }),
                       doctest::Contains("expected words within 0..7 of the text states, got 3 tokens from 6"), Error);
  CHECK(policy.condition(Condition{}, rng).size() == 0);  // no prompts, nothing to know
}

TEST_CASE("PromptWeighting rejects options out of range") {
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH_AS(PromptWeighting({.low = -1}), "[PromptWeighting] low must be finite and >= 0, got -1", Error);
  CHECK_THROWS_WITH_AS(PromptWeighting({.low = 1.6}),
                       "[PromptWeighting] high must be finite and at least low 1.6, got 1.5", Error);
  CHECK_THROWS_WITH_AS(PromptWeighting({.high = infinity}),
                       "[PromptWeighting] high must be finite and at least low 1, got inf", Error);
  CHECK_THROWS_WITH_AS(PromptWeighting({.span = {.share = -0.1}}),
                       "[PromptWeighting] span.share must be in [0, 1], got -0.1", Error);
}

}  // namespace prompt_weighting_test
