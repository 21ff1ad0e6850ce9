// The clipped surrogate: every combination of side and sign, and its options.
#include <doctest/doctest.h>

#include <ATen/ops/tensor.h>
#include <torch/autograd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/objectives/clipped_ratio.hpp>

TEST_CASE("the clipped surrogate is -A*ratio inside the range and flat where the advantage pushes further out") {
  using namespace reward_tuner;
  struct Row {
    double ratio, advantage;
    bool flat;
  };
  // inside
  const std::vector<Row> table = {{1.05, 2.0, false}, {0.95, 2.0, false},  {1.05, -2.0, false}, {0.95, -2.0, false},
                                  {1.30, 2.0, true},  {0.70, -2.0, true},   // outside, pushed further: no gradient
                                  {0.70, 2.0, false}, {1.30, -2.0, false},  // outside, pulled back
                                  {1.00, 1.0, false}, {1.30, 0.0, true}};
  for (const double clip : {0.1, 0.2}) {
    std::vector<double> lp, old, a;
    for (std::size_t i = 0; i < table.size(); ++i)
      old.push_back(-1.0 - 0.1 * static_cast<double>(i)), lp.push_back(old[i] + std::log(table[i].ratio)),
          a.push_back(table[i].advantage);
    const Tensor now = at::tensor(lp, at::kDouble).requires_grad_();  // [n]
    const Tensor loss = ClippedRatio({.clip = clip})
                            .losses({.log_probs = now,
                                     .old_log_probs = at::tensor(old, at::kDouble),
                                     .advantages = at::tensor(a, at::kDouble)});
    const Tensor slope = torch::autograd::grad({loss.sum()}, {now})[0];  // [n]
    for (std::size_t i = 0; i < table.size(); ++i) {
      CAPTURE(i);
      const Row& row = table[i];
      const double wanted =
          std::max(-row.advantage * row.ratio, -row.advantage * std::clamp(row.ratio, 1 - clip, 1 + clip));
      CHECK(loss[static_cast<std::int64_t>(i)].item<double>() == doctest::Approx(wanted).epsilon(1e-13));
      if (row.flat) CHECK(slope[static_cast<std::int64_t>(i)].item<double>() == 0);
      else
        CHECK(slope[static_cast<std::int64_t>(i)].item<double>() ==
              doctest::Approx(-row.advantage * row.ratio).epsilon(1e-13));
    }
  }
}

TEST_CASE("at ratio 1 the clipped surrogate has the policy gradient's slope, not half of it") {
  using namespace reward_tuner;
  const Tensor lp = at::tensor({-1.0, 0.3}, at::kDouble).requires_grad_();
  const PolicyRows rows{
      .log_probs = lp, .old_log_probs = lp.detach(), .advantages = at::tensor({1.5, -0.5}, at::kDouble)};
  for (const double clip : {1e-12, 1e-4, 10.0})
    CHECK(torch::autograd::grad({ClippedRatio({.clip = clip}).losses(rows).sum()}, {lp})[0].equal(
        at::tensor({-1.5, 0.5}, at::kDouble)));
}

TEST_CASE("the clip range in nats: over D for a mean over D numbers, as wide downward for the sum") {
  using namespace reward_tuner;
  const auto range = [](ClippedRatioOptions options, std::int64_t size) {
    return ClippedRatio(ClippedRatio::completed(options, {.latent_size = size})).clip();
  };
  CHECK(range({}, 16384) == doctest::Approx(1e-4).epsilon(2e-3));  // ddpo-pytorch's
  CHECK(range({.clip_nats = 1.64}, 1024) == 1.64 / 1024);
  CHECK(range({.clip_nats = 2, .round = {.reduction = LogProbReduction::kSum}}, 1024) == 1 - std::exp(-2.0));
  CHECK(range({.clip = 0.2}, 1024) == 0.2);
}

TEST_CASE("ClippedRatio's bad options are named errors") {
  using namespace reward_tuner;
  CHECK_FALSE(ObjectiveTraits<ClippedRatio>::needs_reference(ClippedRatio()));
  CHECK_THROWS_WITH_AS(ClippedRatio({.clip = 1e-4, .clip_nats = 1.64}),
                       "[ClippedRatio] expected either clip or clip_nats, got both: 0.0001 and 1.64", Error);
  CHECK_THROWS_WITH_AS(ClippedRatio({.clip_nats = 0}), "[ClippedRatio] clip_nats must be > 0, got 0", Error);
  CHECK_THROWS_WITH_AS(ClippedRatio().clip(),
                       "[ClippedRatio] the clip range in nats depends on the latents: expected options completed for a "
                       "model, as a tuner does, or clip, got neither",
                       Error);
  CHECK_THROWS_WITH_AS(ClippedRatio({.clip = 0}), "[ClippedRatio] clip must be > 0, got 0", Error);
  CHECK_THROWS_WITH_AS(ClippedRatio({.clip = -0.1}), "[ClippedRatio] clip must be > 0, got -0.1", Error);
  CHECK_THROWS_WITH_AS(ClippedRatio({.clip = std::numeric_limits<double>::infinity()}),
                       "[ClippedRatio] clip must be > 0, got inf", Error);
  CHECK_THROWS_WITH_AS(ClippedRatio({.round = {.epochs = 0}}), "[RewardTuner] round.epochs must be >= 1, got 0", Error);
}
