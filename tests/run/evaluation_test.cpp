// What rewards are given in an evaluation, and that none of them changes what the others measure.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/engine/reward_values.hpp>
#include <reward_tuner/rewards/brightness.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/weighted_sum.hpp>
#include <reward_tuner/run/evaluation.hpp>
#include <reward_tuner/samplers/ddim.hpp>

#include <tests/reference/toy_pipeline.hpp>

namespace evaluation_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::reference;

/// Remembers what it was shown.
template <bool PerGroup>
struct Watching {
  using Role = RewardRole;
  static constexpr bool kDifferentiable = false, kPerGroup = PerGroup;
  static constexpr std::string_view kName = "watching";
  std::shared_ptr<std::vector<RewardInput>> seen = std::make_shared<std::vector<RewardInput>>();
  RewardResult score(const RewardInput& input) const {
    seen->push_back(input);
    return {input.images.mean({1, 2, 3})};
  }
};

const std::vector<EvaluationPair> kPairs = {{"b", 1}, {"a", 2}, {"b", 3}, {"c", 4}, {"a", 5}};

std::optional<Evaluation> measured(ToyPipeline& pipeline, const std::vector<EvaluationReward>& rewards, int batch) {
  return evaluate(pipeline, Ddim({.num_steps = 3}), kPairs, rewards, {.batch = batch});
}

/// The means of the pairs' images. -> [5]
Tensor pipeline_values(ToyPipeline& pipeline) {
  const Watching<true> reward;
  measured(pipeline, {{"it", AnyReward(reward)}}, 5);
  return reward.seen->front().images.mean({1, 2, 3});
}

}  // namespace

TEST_CASE("rewards of groups are evaluated on what a round would show them: the pipeline's own images and latents") {
  ToyPipeline pipeline;  // in double, and not clamped
  for (const int batch : {1, 2, 5}) {
    const Watching<true> reward;
    const auto out = measured(pipeline, {{"it", AnyReward(reward)}}, batch);
    REQUIRE(reward.seen->size() == 1);
    const RewardInput& input = reward.seen->front();
    CHECK((input.images.scalar_type() == at::kDouble));
    CHECK(at::allclose(input.images, pipeline.decode(input.latents), 1e-13, 1e-15));
    CHECK(out->images.equal(input.images.to(at::kFloat).clamp(0, 1)));
    CHECK(input.prompts == std::vector<std::string>{"b", "a", "b", "c", "a"});
    CHECK(input.group_ids.equal(at::tensor({0, 1, 0, 2, 1}, at::kLong)));
    // a round of the same prompts
    const Watching<true> trained;
    reward_values(pipeline, trained, {input.latents, input.prompts, {}, prompt_groups(input.prompts)}, 2);
    const RewardInput& other = trained.seen->front();
    CHECK(at::allclose(other.images, input.images, 1e-13, 1e-15));
    CHECK((other.images.options().dtype() == input.images.options().dtype() && other.latents.equal(input.latents) &&
           other.group_ids.equal(input.group_ids) && other.prompts == input.prompts));
  }
}

TEST_CASE("images beyond [0,1] reach rewards of groups and of single images alike") {
  struct Bright : ToyPipeline {
    Tensor decode(const Tensor& latents) { return 3 * ToyPipeline::decode(latents) - 1; }
  } pipeline;
  const Watching<true> groups;
  const Watching<false> single;
  const auto sampled = evaluate(pipeline, Ddim({.num_steps = 3}), kPairs,
                                {{"groups", AnyReward(groups)}, {"single", AnyReward(single)}}, {.batch = 5});
  CHECK(groups.seen->front().images.equal(single.seen->front().images));
  CHECK(groups.seen->front().images.max().item<double>() > 1);
  CHECK(single.seen->front().group_ids.equal(groups.seen->front().group_ids));
  CHECK(sampled->metrics.at("groups") == doctest::Approx(sampled->metrics.at("single")).epsilon(1e-12));
}

TEST_CASE("groups stand on the images' device") {
  const CleanSamples samples{at::zeros({2, 1, 2, 2}), {"a", "a"}, {}, {0, 0}};
  const Tensor elsewhere = at::empty({2, 3, 2, 2}, at::TensorOptions().device(at::kMeta));
  CHECK((samples.input(elsewhere, samples.clean, 0).group_ids.device() == elsewhere.device()));
}

TEST_CASE("a reward that writes to the images is named, and none is measured after it on what it left") {
  ToyPipeline pipeline;
  const AnyReward doubles(black_box([](const Tensor& images) { return images.mul_(2).mean({1, 2, 3}); }));
  for (const int batch : {2, 5}) {
    CHECK_THROWS_WITH_AS(measured(pipeline, {{"x", doubles}, {"bright", AnyReward(BrightnessReward())}}, batch),
                         doctest::Contains("the reward black_box changed its images in place"), Error);
  }
}

TEST_CASE("images without a score are left out of the mean and counted") {
  ToyPipeline pipeline;
  const auto all = measured(pipeline, {{"bright", AnyReward(BrightnessReward())}}, 5);
  const auto without = [](std::vector<std::string> prompts) {
    return AnyReward(black_box([prompts](const RewardInput& input) {
      Tensor values = input.images.mean({1, 2, 3});
      const Tensor failed = at::zeros({values.size(0)}, at::kBool);
      for (std::size_t i = 0; i < input.prompts.size(); ++i)
        failed[static_cast<std::int64_t>(i)] =
            std::find(prompts.begin(), prompts.end(), input.prompts[i]) != prompts.end();
      values = values.masked_fill(failed, std::numeric_limits<double>::quiet_NaN());
      return RewardResult{.values = values, .components = {{"twice", 2 * values}}, .failed = failed};
    }));
  };
  const Tensor values = pipeline_values(pipeline);  // [5]
  for (const int batch : {1, 2, 5}) {
    CAPTURE(batch);
    const auto out = measured(pipeline, {{"it", without({"a"})}, {"none", without({"a", "b", "c"})}}, batch);
    const double mean = (values[0] + values[2] + values[3]).item<double>() / 3;
    CHECK(out->metrics.at("it") == doctest::Approx(mean));
    CHECK(out->metrics.at("twice") == doctest::Approx(2 * mean));
    CHECK(out->metrics.at("it.failed_scores") == 2);
    CHECK(std::isnan(out->metrics.at("none")));
    CHECK(out->metrics.at("none.failed_scores") == 5);
  }
  CHECK_FALSE(all->metrics.contains("bright.failed_scores"));
}

}  // namespace evaluation_test
