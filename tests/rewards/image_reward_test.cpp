// ImageReward against transformers' answers (tests/golden/make_reward_model_golden.py), its gradient and its errors.
#include <doctest/doctest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/rewards/image_reward.hpp>

#include <tests/reference/golden_reward_models.hpp>
#include <tests/reference/test_folder.hpp>
#include <tests/rewards/reward_checks.hpp>

namespace image_reward_test {
namespace {

using namespace reward_tuner;
using namespace reward_checks;
using golden::kData;

/// With the tokenizer beside its weights.
struct Folder : golden::ModelFolder {
  Folder() {
    copy("blip", {"config.json", "model.safetensors"});
    copy("word_piece", {"vocab.txt", "tokenizer_config.json"});
  }
};

AestheticHead golden_head(const std::vector<std::int64_t>& said = {}) {
  return ImageReward::head(SafetensorsFile::open(kData / "blip" / "model.safetensors"), said);
}

std::shared_ptr<BlipModel> golden_blip(at::ScalarType type) {
  const Folder folder;
  auto blip = BlipModel::load(folder.path);
  blip->to(type);
  return blip;
}

}  // namespace

TEST_CASE("image reward: the original's score and image gradient") {
  const Folder folder;
  const ImageReward reward = ImageReward::load(folder.path);
  const auto want = SafetensorsFile::open(kData / "blip" / "expected.safetensors");
  const Tensor images = want.tensor("images").clone().requires_grad_();
  const RewardResult result = reward.score({images, golden::kPrompts});
  CHECK(relative_error(result.values, want.tensor("score")) < 1e-5);
  CHECK(relative_error(torch::autograd::grad({result.values.sum()}, {images})[0], want.tensor("grad")) < 1e-5);
  CHECK(result.components.at("image_reward").equal(result.values.detach()));
}

TEST_CASE("image reward: rewards of one folder hold one BLIP") {
  const Folder folder;
  const ImageReward one = ImageReward::load(folder.path), other = ImageReward::load(folder.path, {.leak = 0});
  CHECK(&one.blip() == &other.blip());
}

TEST_CASE("image reward: the gradient equals central differences, through resize and crop too") {
  const ImageReward reward(golden_blip(at::kDouble), golden_head());
  const Tensor images = random_images(1, 11, 9, 4);
  const auto f = [&](const Tensor& x) { return reward.score({x, {"a red cat"}}).values.sum(); };
  CHECK(relative_error(gradient(f, images), central_differences(f, images)) < 1e-6);
}

TEST_CASE("image reward: the published standardization is an option; images outside [0,1] leak") {
  const auto blip = golden_blip(at::kDouble);
  const Tensor images = random_images(2, 16, 16, 5);
  const std::vector<std::string> prompts{"a cat", "a dog"};
  const Tensor plain = ImageReward(blip, golden_head(), {.mean = 0, .deviation = 1}).score({images, prompts}).values;
  const Tensor standard = ImageReward(blip, golden_head()).score({images, prompts}).values;
  CHECK(relative_error(standard, (plain - 0.16717362830052426) / 1.0333394966054072) < 1e-12);
  const Tensor bright = images + 2;
  const auto grad = [&](double leak) {
    const ImageReward reward(blip, golden_head(), {.leak = leak});
    return gradient([&](const Tensor& x) { return reward.score({x, prompts}).values.sum(); }, bright);
  };
  CHECK(grad(0).abs().max().item<double>() == 0);
  CHECK(relative_error(grad(0.1) * 5, grad(0.5)) < 1e-9);
}

TEST_CASE("image reward: NaN images give NaN, images of two pixels a number") {
  const ImageReward reward(golden_blip(at::kDouble), golden_head());
  const Tensor broken = at::full({1, 3, 8, 8}, std::nan(""), at::kDouble);
  CHECK(reward.score({broken, {"a cat"}}).values.isnan().all().item<bool>());
  CHECK(reward.score({random_images(1, 2, 2, 6), {"a cat"}}).values.isfinite().all().item<bool>());
}

TEST_CASE("image reward: what does not fit is named") {
  const auto blip = golden_blip(at::kDouble);
  CHECK_THROWS_WITH_AS(ImageReward(blip, AestheticHead({{at::ones({1, 5}), at::ones({1})}})),
                       doctest::Contains("states of 8 numbers, as BLIP gives, got one for 5"), Error);
  CHECK_THROWS_WITH_AS(ImageReward(nullptr, golden_head()), doctest::Contains("expected a BLIP, got none"), Error);
  CHECK_THROWS_WITH_AS(ImageReward(blip, golden_head(), {.leak = 2}), doctest::Contains("leak"), Error);
  CHECK_THROWS_WITH_AS(ImageReward(blip, golden_head(), {.deviation = 0}), doctest::Contains("deviation above 0"),
                       Error);
  CHECK_THROWS_WITH_AS(ImageReward(blip, golden_head()).score({random_images(2, 8, 8, 5), {"a"}}),
                       doctest::Contains("one prompt per image (2), got 1"), Error);
  CHECK_THROWS_WITH_AS(golden_head({7, 6, 5, 1}),
                       doctest::Contains("with [7, 6, 5, 1] outputs, as config.json says, got [7, 6, 5, 4, 1]"), Error);
  const Folder folder_of_others;
  nlohmann::json config = read_json(folder_of_others / "config.json");
  config["head"] = {7, 1};
  folder_of_others.write("config.json", config);
  CHECK_THROWS_WITH_AS(ImageReward::load(folder_of_others.path), doctest::Contains("with [7, 1] outputs"), Error);
  const io_test::Folder folder;
  const auto head_of = [&](const char* name) {
    save_safetensors(folder / "head.safetensors", {{name, at::ones({2})}});
    return ImageReward::head(SafetensorsFile::open(folder / "head.safetensors"), {});
  };
  CHECK_THROWS_WITH_AS(head_of("blip.x"), doctest::Contains("expected the head, tensors called mlp.layers.*"), Error);
  CHECK_THROWS_WITH_AS(head_of("mlp.layers.x"), doctest::Contains("got mlp.layers.x"), Error);
}

}  // namespace image_reward_test
