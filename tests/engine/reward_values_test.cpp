// Rewards of a round: independent of how images are cut, whole for rewards of groups, and named errors of rewards
// that fail.
#include <doctest/doctest.h>

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/engine/reward_values.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/clamped.hpp>
#include <reward_tuner/rewards/standardized.hpp>
#include <reward_tuner/rewards/weighted_sum.hpp>

#include <tests/reference/toy_pipeline.hpp>
#include <tests/reference/toy_reward.hpp>

namespace reward_values_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

/// Remembers what it was shown. -(deviation of the group's mean brightnesses): the same for all images of a group.
template <bool PerGroup>
struct Watching {
  using Role = RewardRole;
  static constexpr bool kDifferentiable = false;
  static constexpr bool kPerGroup = PerGroup;
  static constexpr std::string_view kName = "watching";
  std::vector<RewardInput>* seen;
  RewardResult score(const RewardInput& input) const {
    seen->push_back(input);
    return {input.images.mean({1, 2, 3}), {{"place", input.group_ids.to(at::kDouble)}}};
  }
};

/// A weighted sum whose result is changed afterwards.
template <class Change>
struct Changing {
  using Role = RewardRole;
  static constexpr bool kDifferentiable = false, kPerGroup = false;
  static constexpr std::string_view kName = "changing";
  Change change;
  RewardResult score(const RewardInput& input) const {
    RewardResult result = weighted_sum(weighted(2.0, ToyReward()), weighted(1.0, ToyReward())).score(input);
    change(result);
    return result;
  }
};

struct DrawnRound {
  ToyPipeline pipeline;
  CleanSamples samples{.clean = {},  // [7,C,h,w]
                       .prompts = {"a", "a", "a", "b", "b", "b", "c"},
                       .seeds = {11, 12, 13, 14, 15, 16, 17},
                       .groups = {0, 0, 0, 1, 1, 1, 2}};
};
DrawnRound round_of(std::uint64_t seed) {
  DrawnRound r;
  r.samples.clean = Rng(seed).normal(r.pipeline.latent_shape(7), at::kDouble);
  return r;
}

}  // namespace
}  // namespace reward_values_test

TEST_CASE("values and components do not depend on the chunk") {
  using namespace reward_values_test;
  for (const std::uint64_t seed : {1, 2, 3}) {
    DrawnRound r = round_of(seed);
    const auto values = [&](std::int64_t chunk) { return reward_values(r.pipeline, ToyReward(), r.samples, chunk); };
    const auto whole = values(0);
    REQUIRE(whole.values.size() == 7);
    CHECK(whole.finite());
    double mean_square = 0;
    for (std::int64_t i = 0; i < 7; ++i) {
      const auto alone =
          ToyReward().score({.images = r.pipeline.decode(r.samples.clean.narrow(0, i, 1)), .prompts = {"x"}});
      CHECK(whole.values[static_cast<std::size_t>(i)] == doctest::Approx(alone.values.item<double>()).epsilon(1e-13));
      mean_square += alone.components.at("square").item<double>() / 7;
    }
    CHECK(whole.components.at("square") == doctest::Approx(mean_square).epsilon(1e-13));
    for (const std::int64_t chunk : {1, 2, 3, 7, 50}) {
      const auto cut = values(chunk);
      REQUIRE(cut.values.size() == 7);
      for (std::size_t i = 0; i < 7; ++i) CHECK(cut.values[i] == doctest::Approx(whole.values[i]).epsilon(1e-13));
      CHECK(cut.components.at("square") == doctest::Approx(whole.components.at("square")).epsilon(1e-13));
    }
  }
}

TEST_CASE(
    "a reward of groups sees all images at once with their groups; any other sees its chunk with prompts, latents "
    "and seeds") {
  using namespace reward_values_test;
  DrawnRound r = round_of(4);
  std::vector<RewardInput> seen;
  reward_values(r.pipeline, Watching<true>{&seen}, r.samples, 2);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].images.size(0) == 7);
  CHECK((seen[0].images - r.pipeline.decode(r.samples.clean)).abs().max().item<double>() < 1e-14);
  CHECK(seen[0].group_ids.equal(at::tensor(r.samples.groups, at::kLong)));
  CHECK(seen[0].prompts == r.samples.prompts);
  CHECK(seen[0].seeds == r.samples.seeds);
  CHECK(seen[0].latents.equal(r.samples.clean));

  seen.clear();
  const auto out = reward_values(r.pipeline, Watching<false>{&seen}, r.samples, 3);
  REQUIRE(seen.size() == 3);
  CHECK(seen[1].prompts == std::vector<std::string>{"b", "b", "b"});
  CHECK(seen[1].group_ids.equal(at::tensor({1, 1, 1}, at::kLong)));
  CHECK(seen[2].seeds == std::vector<std::uint64_t>{17});
  CHECK(seen[2].latents.equal(r.samples.clean.narrow(0, 6, 1)));
  CHECK(out.components.at("place") == doctest::Approx(5.0 / 7));
}

TEST_CASE("chunks never cut a group, whatever holds the reward that scores it") {
  using namespace reward_values_test;
  DrawnRound r = round_of(7);
  const auto whole = [&](const auto& reward, std::vector<RewardInput>& seen) {
    for (const std::int64_t chunk : {1, 2, 4}) {
      seen.clear();
      reward_values(r.pipeline, reward, r.samples, chunk);
      REQUIRE(seen.size() == 1);
      CHECK(seen[0].group_ids.equal(at::tensor(r.samples.groups, at::kLong)));
    }
  };
  std::vector<RewardInput> seen;
  const AnyReward any(Watching<true>{&seen});
  whole(any, seen);
  whole(clamped(any, 0, 1), seen);
  whole(weighted_sum(weighted(1.0, ToyReward()), weighted(1.0, any)), seen);
  whole(weighted_sum({weighted(1.0, AnyReward(ToyReward())), weighted(1.0, any)}), seen);
}

TEST_CASE("no gradient is recorded, whatever the mode outside") {
  using namespace reward_values_test;
  DrawnRound r = round_of(5);
  std::vector<RewardInput> seen;
  r.samples.clean.requires_grad_();
  const torch::AutoGradMode grad(true);
  reward_values(r.pipeline, Watching<false>{&seen}, r.samples, 0);
  CHECK_FALSE(seen[0].images.requires_grad());
}

TEST_CASE("rewards that fail are named; a value that is not finite is told, not thrown") {
  using namespace reward_values_test;
  DrawnRound r = round_of(6);
  const auto values = [&](const auto& reward) { return reward_values(r.pipeline, reward, r.samples, 3); };
  CHECK_THROWS_WITH_AS(values(ToyReward{ToyFailure::kThrows}),
                       "[RewardPolicy] the reward toy threw: the detector is on holiday", Error);
  CHECK_THROWS_WITH_AS(values(ToyReward{ToyFailure::kWrongShape}),
                       "[RewardPolicy] score expected [B] values with B = 3, got shape [3, 1] (reward toy)", Error);
  CHECK_THROWS_WITH_AS(values(black_box([](const RewardInput& input) {
                         input.latents.zero_();
                         return input.images.mean({1, 2, 3});
                       })),
                       doctest::Contains("the reward black_box changed its latents in place"), Error);
  CHECK_FALSE(values(ToyReward{ToyFailure::kNan}).finite());
  CHECK_FALSE(values(black_box([](const Tensor& images) {
                return at::full({images.size(0)}, std::numeric_limits<double>::infinity(), at::kDouble);
              })).finite());
}

TEST_CASE("the parts of a weighted sum come with its values, whatever the chunk and the holder; others have none") {
  using namespace reward_values_test;
  DrawnRound r = round_of(8);
  const AnyReward sum = weighted_sum({weighted(2.0, AnyReward(ToyReward())), weighted(-0.5, AnyReward(ToyReward()))});
  const auto own = reward_values(r.pipeline, ToyReward(), r.samples, 0);
  CHECK(own.terms.empty());
  for (const std::int64_t chunk : {0, 1, 3}) {
    const auto out = reward_values(r.pipeline, sum, r.samples, chunk);
    REQUIRE(out.terms.size() == 2);
    CHECK(out.terms[0].weight == 2);
    CHECK(out.terms[1].weight == -0.5);
    for (const RewardTerm& term : out.terms) {
      REQUIRE(term.values.size() == 7);
      for (std::size_t i = 0; i < 7; ++i) CHECK(term.values[i] == doctest::Approx(own.values[i]).epsilon(1e-13));
    }
  }
  CHECK(reward_values(r.pipeline, clamped(sum, -9, 9), r.samples, 0).terms.empty());
  CHECK(reward_values(r.pipeline, standardized(sum, 0, 2), r.samples, 0).terms.empty());
}

TEST_CASE("parts that are not those of the values, or not those of the images before, are named errors") {
  using namespace reward_values_test;
  DrawnRound r = round_of(9);
  const auto reward = [](auto change) { return AnyReward(Changing<decltype(change)>{change}); };
  const auto fails = [&](const AnyReward& changing, const char* sentence) {
    CHECK_THROWS_WITH_AS(reward_values(r.pipeline, changing, r.samples, 4), doctest::Contains(sentence), Error);
  };
  fails(reward([](RewardResult& result) { result.values = result.values + 1; }),
        "the reward changing expected parts whose weighted sum is its values, got others: clear RewardResult::parts");
  fails(reward([](RewardResult& result) {
          if (result.values.size(0) == 3) result.parts.clear();  // the last images
        }),
        "the reward changing expected 2 parts as of the images before, got 0");
  fails(reward([](RewardResult& result) { result.parts[0].values = result.parts[0].values.narrow(0, 0, 1); }),
        "expected parts of shape [B] with B = 4, got another shape (reward changing)");
}

TEST_CASE("images without a score are in no mean and marked in the values") {
  using namespace reward_values_test;
  const auto failing = black_box([](const RewardInput& input) {
    const Tensor values = input.images.mean({1, 2, 3}), failed = at::zeros_like(values, at::kBool);
    for (std::size_t i = 0; i < input.seeds.size(); ++i)
      if (input.seeds[i] == 12 || input.seeds[i] == 16) failed[static_cast<std::int64_t>(i)] = true;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    return RewardResult{.values = values.masked_fill(failed, nan),
                        .components = {{"twice", (2 * values).masked_fill(failed, nan)}},
                        .failed = failed};
  });
  DrawnRound r = round_of(3);
  const RewardValues whole =
      reward_values(r.pipeline, black_box([](const Tensor& x) { return x.mean({1, 2, 3}); }), r.samples, 0);
  for (const std::int64_t chunk : {0, 1, 2, 3}) {
    CAPTURE(chunk);
    for (const bool any : {false, true}) {
      const RewardValues out = any ? reward_values(r.pipeline, AnyReward(failing), r.samples, chunk)
                                   : reward_values(r.pipeline, failing, r.samples, chunk);
      CHECK(out.failed == std::vector<bool>{false, true, false, false, false, true, false});
      CHECK(out.count_failed() == 2);
      CHECK(out.finite());
      double sum = 0;
      for (std::size_t i = 0; i < 7; ++i) {
        CHECK(std::isnan(out.values[i]) == out.failed[i]);
        if (out.failed[i]) continue;
        CHECK(out.values[i] == doctest::Approx(whole.values[i]));
        sum += out.values[i];
      }
      CHECK(out.components.at("twice") == doctest::Approx(2 * sum / 5));
    }
  }
  CHECK_THROWS_WITH_AS(reward_values(r.pipeline, black_box([](const Tensor& x) {
                                       return RewardResult{.values = x.mean({1, 2, 3}),
                                                           .failed = at::zeros({3}, at::kBool)};
                                     }),
                                     r.samples, 0),
                       doctest::Contains("score expected failed to be bool [B] with B = 7, got"), Error);
}

TEST_CASE("an image that one part of a sum could not score has no sum") {
  using namespace reward_values_test;
  const auto part = [](std::int64_t without) {
    return black_box([without](const Tensor& x) {
      const Tensor failed = at::zeros({x.size(0)}, at::kBool);
      failed[without] = true;
      return RewardResult{.values = x.mean({1, 2, 3}), .failed = failed};
    });
  };
  const auto whole = black_box([](const Tensor& x) { return x.mean({1, 2, 3}); });
  DrawnRound r = round_of(3);
  const std::vector<bool> expected = {false, true, false, true, false, false, false};
  CHECK(reward_values(r.pipeline, weighted_sum(weighted(1.0, whole), weighted(2.0, part(1)), weighted(-1.0, part(3))),
                      r.samples, 0)
            .failed == expected);
  CHECK(reward_values(r.pipeline,
                      weighted_sum({weighted(1.0, AnyReward(part(1))), weighted(2.0, AnyReward(part(3))),
                                    weighted(1.0, AnyReward(clamped(whole, 0, 1)))}),
                      r.samples, 0)
            .failed == expected);
  CHECK(reward_values(r.pipeline, clamped(part(1), 0, 1), r.samples, 0).count_failed() == 1);
}
