// The vectors that rewards of one CLIP share: computed once for an input, the same numbers and gradients as alone.
#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <torch/types.h>

#include <reward_tuner/core/note.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/image_preprocessor.hpp>
#include <reward_tuner/rewards/aesthetic.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/rewards/clip_vectors.hpp>
#include <reward_tuner/rewards/hps.hpp>
#include <reward_tuner/rewards/pick_score.hpp>
#include <reward_tuner/rewards/random_shift.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/shared_vectors.hpp>
#include <reward_tuner/rewards/symmetry.hpp>
#include <reward_tuner/rewards/weighted_sum.hpp>

#include <tests/rewards/reward_checks.hpp>

namespace clip_vectors_test {
namespace {

using namespace reward_tuner;
using namespace reward_checks;

AestheticHead head() { return AestheticHead({{random_images(1, 2, 1, 9).view({1, 6}), at::zeros({1}, at::kDouble)}}); }

const std::vector<std::string> kPrompts{"red ring", "cross"};

}  // namespace

TEST_CASE("clip vectors: rewards of one CLIP run its tower once, with the values and gradient of each alone") {
  const NoteScope quiet([](const std::string&) {});
  const auto clip = tiny_clip(3);
  const auto sum = weighted_sum(weighted(1.0, ClipScoreReward(clip)), weighted(0.5, AestheticReward(head(), clip)),
                                weighted(0.1, PickScoreReward(clip)), weighted(2.0, HpsReward(clip)),
                                weighted(1.0, SymmetryReward({.text_weight = 1.0}, clip)));
  const Tensor images = random_images(2, 12, 12, 4);
  const RewardInput input{images, kPrompts};
  const Tensor values = sum.score(input).values;  // [2]
  CHECK(input.vectors->counts().computed == 1);
  CHECK(input.vectors->counts().shared == 4);
  const auto alone = [&](const Tensor& x) {
    return ClipScoreReward(clip).score({x, kPrompts}).values +
           0.5 * AestheticReward(head(), clip).score({x, {}}).values +
           0.1 * PickScoreReward(clip).score({x, kPrompts}).values + 2 * HpsReward(clip).score({x, kPrompts}).values +
           SymmetryReward({.text_weight = 1.0}, clip).score({x, kPrompts}).values;
  };
  CHECK(relative_error(values, alone(images)) < 1e-14);
  const auto total = [&](const Tensor& x) { return sum.score({x, kPrompts}).values.sum(); };
  CHECK(relative_error(gradient(total, images), gradient([&](const Tensor& x) { return alone(x).sum(); }, images)) <
        1e-12);
}

TEST_CASE("clip vectors: nothing is shared by other weights, other preprocessing, other images or without gradients") {
  const auto clip = tiny_clip(3), other = tiny_clip(3);
  const auto counts = [](const auto& sum, const Tensor& images) {
    const RewardInput input{images, kPrompts, {}, {}, {1, 2}};
    sum.score(input);
    return input.vectors->counts();
  };
  const Tensor square = random_images(2, 12, 12, 5), wide = random_images(2, 12, 22, 5);
  const auto towers = [&](const auto& sum) { return counts(sum, square).computed; };
  CHECK(towers(weighted_sum(weighted(1.0, ClipScoreReward(clip)), weighted(1.0, PickScoreReward(other)))) == 2);
  CHECK(towers(weighted_sum(weighted(1.0, ClipScoreReward(clip)), weighted(1.0, PickScoreReward(clip, {.leak = 0})))) ==
        2);
  CHECK(towers(weighted_sum(weighted(1.0, ClipScoreReward(clip)),
                            weighted(1.0, randomly_shifted(ClipScoreReward(clip), 2)))) == 2);
  // letterbox and crop make the same of a square image only; of another, so do the two starts of a crop only if even
  const auto crops = weighted_sum(weighted(1.0, ClipScoreReward(clip)), weighted(1.0, AestheticReward(head(), clip)));
  CHECK(counts(crops, square).computed == 1);
  CHECK(counts(crops, wide).computed == 2);
  const NoteScope quiet([](const std::string&) {});
  const auto boxes = weighted_sum(weighted(1.0, ClipScoreReward(clip)), weighted(1.0, HpsReward(clip)));
  CHECK(counts(boxes, square).computed == 1);
  CHECK(counts(boxes, wide).computed == 2);
  CHECK(counts(weighted_sum(weighted(1.0, ClipScoreReward(clip)), weighted(1.0, HpsReward(clip, {.antialias = false}))),
               square)
            .computed == 2);

  const RewardInput input{square.clone().requires_grad_(), kPrompts};
  {
    const at::NoGradGuard no_grad;
    ClipScoreReward(clip).score(input);
  }
  CHECK(ClipScoreReward(clip).score(input).values.requires_grad());
  CHECK(input.vectors->counts().computed == 2);
  const RewardInput next{input.images, kPrompts};
  ClipScoreReward(clip).score(next);
  CHECK(next.vectors->counts().computed == 1);
  CHECK(next.vectors->counts().shared == 0);
}

TEST_CASE("clip vectors: another prompt in a copy of the input has its own vector") {
  const auto clip = tiny_clip(3);
  RewardInput input{random_images(2, 8, 8, 6), kPrompts};
  const Tensor first = clip_text_vectors(input, clip);  // [2,6]
  input.prompts = {"cross", "red ring"};
  CHECK(relative_error(clip_text_vectors(input, clip), first.flip(0)) < 1e-14);
  CHECK_FALSE(clip_text_vectors(input, clip).requires_grad());
}

}  // namespace clip_vectors_test
