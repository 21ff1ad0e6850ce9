// The aesthetic head: folding against layer by layer, its file, and the reward on a tiny CLIP.
#include <doctest/doctest.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>

#include <ATen/ops/zeros.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/aesthetic.hpp>
#include <reward_tuner/rewards/takes_clip.hpp>

#include <tests/rewards/reward_checks.hpp>

namespace aesthetic_test {
namespace {

namespace fs = std::filesystem;
using namespace reward_tuner;
using namespace reward_checks;

/// A folder of this test alone, gone at its end.
struct Scratch {
  fs::path folder = fs::temp_directory_path() / ("reward_tuner_aesthetic_" + std::to_string(::getpid()));
  Scratch() { fs::create_directories(folder); }
  ~Scratch() { fs::remove_all(folder); }
  fs::path file(const std::map<std::string, Tensor>& tensors) const {
    save_safetensors(folder / "head.safetensors", tensors);
    return folder / "head.safetensors";
  }
};

/// Layers of the given widths with random weights, numbered 0, 2, 4, ... as with dropouts between them.
std::map<std::string, Tensor> random_layers(const std::vector<std::int64_t>& widths, std::uint64_t seed,
                                            at::ScalarType type = at::kFloat) {
  Rng rng(seed);
  std::map<std::string, Tensor> tensors;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    const std::string name = "layers." + std::to_string(2 * i);
    tensors[name + ".weight"] =
        (rng.normal({widths[i + 1], widths[i]}, at::kDouble) / std::sqrt(static_cast<double>(widths[i]))).to(type);
    tensors[name + ".bias"] = rng.normal({widths[i + 1]}, at::kDouble).to(type);
  }
  return tensors;
}

}  // namespace

TEST_CASE("aesthetic head: the folded vector equals the layers one by one, in plain loops") {
  const Scratch scratch;
  // seven layers: layers.10 and .12 come after layers.8
  const std::vector<std::int64_t> widths{6, 9, 5, 4, 3, 2, 2, 1};
  const auto tensors = random_layers(widths, 1, at::kDouble);
  const AestheticHead head = AestheticHead::load(scratch.file(tensors));
  CHECK(head.width() == 6);
  const Tensor features = random_images(1, 4, 6, 2).flatten(0, 2).narrow(0, 0, 4);  // [4,6]
  const Tensor scores = head(features);
  for (std::int64_t i = 0; i < 4; ++i) {
    std::vector<double> x(6);
    for (std::size_t j = 0; j < 6; ++j) x[j] = features[i][static_cast<std::int64_t>(j)].item<double>();
    for (std::size_t layer = 0; layer + 1 < widths.size(); ++layer) {
      const Tensor w = tensors.at("layers." + std::to_string(2 * layer) + ".weight"),
                   b = tensors.at("layers." + std::to_string(2 * layer) + ".bias");
      std::vector<double> next;
      for (std::int64_t row = 0; row < w.size(0); ++row) {
        double sum = b[row].item<double>();
        for (std::int64_t column = 0; column < w.size(1); ++column)
          sum += w[row][column].item<double>() * x[static_cast<std::size_t>(column)];
        next.push_back(sum);
      }
      x = next;
    }
    CHECK(scores[i].item<double>() == doctest::Approx(x[0]).epsilon(1e-12));
  }
}

TEST_CASE("aesthetic head: LAION's layers give what torch's Sequential with its dropouts gives") {
  const Scratch scratch;
  torch::nn::Sequential layers(torch::nn::Linear(768, 1024), torch::nn::Dropout(0.2), torch::nn::Linear(1024, 128),
                               torch::nn::Dropout(0.2), torch::nn::Linear(128, 64), torch::nn::Dropout(0.1),
                               torch::nn::Linear(64, 16), torch::nn::Linear(16, 1));
  layers->eval();
  Rng rng(3);
  std::map<std::string, Tensor> tensors;
  const torch::NoGradGuard no_grad;
  for (auto& item : layers->named_parameters()) {
    item.value().copy_(rng.normal(item.value().sizes()) * 0.05);
    tensors["layers." + item.key()] = item.value().clone();  // layers.0, .2, .4, .6, .7
  }
  CHECK(tensors.contains("layers.7.weight"));
  const AestheticHead head = AestheticHead::load(scratch.file(tensors));
  Tensor features = rng.normal({5, 768});
  features = features / features.norm(2, {1}, true);
  const Tensor want = layers->forward(features).squeeze(1);
  CHECK((head(features) - want).abs().max().item<double>() < 1e-5);
  layers->to(at::kDouble);
  CHECK((head(features.to(at::kDouble)) - layers->forward(features.to(at::kDouble)).squeeze(1))
            .abs()
            .max()
            .item<double>() < 1e-12);
}

TEST_CASE("aesthetic head: files and layers that do not fit are named") {
  const Scratch scratch;
  const auto expect = [&](std::map<std::string, Tensor> tensors, const char* text) {
    const fs::path file = scratch.file(tensors);
    CHECK_THROWS_WITH_AS(AestheticHead::load(file), doctest::Contains(text), Error);
    CHECK_THROWS_WITH_AS(AestheticHead::load(file), doctest::Contains("head.safetensors"), Error);
  };
  const auto good = random_layers({6, 4, 1}, 4);
  auto broken = good;
  broken["layers.2.extra"] = at::zeros({1});
  expect(broken, "got layers.2.extra");
  broken = good;
  broken["head.weight"] = at::zeros({1});
  expect(broken, "got head.weight");
  broken = good;
  broken["layers.2x.weight"] = at::zeros({1});
  expect(broken, "got layers.2x.weight");
  broken = good;
  broken.erase("layers.2.bias");
  expect(broken, "has no layers.2.bias");
  broken = good;
  broken.erase("layers.0.weight");
  expect(broken, "has no layers.0.weight");
  expect(random_layers({6, 4, 2}, 5), "layer 2 of 2 gives 2 numbers, expected 1, the score");
  broken = good;
  broken["layers.0.weight"] = at::zeros({3, 6});
  broken["layers.0.bias"] = at::zeros({3});
  expect(broken, "layer 1 of 2 gives 3 numbers, expected 4 as the next layer takes");
  broken = good;
  broken["layers.0.bias"] = at::zeros({5});
  expect(broken, "expected a floating point weight [out,in] and bias [out], got Float [4, 6] and Float [5]");
  broken = good;
  broken["layers.0.bias"].fill_(std::numeric_limits<float>::infinity());
  expect(broken, "finite");
  expect({}, "at least one layer");
  CHECK_THROWS_WITH_AS(AestheticHead::load(scratch.folder / "nowhere.safetensors"),
                       doctest::Contains("nowhere.safetensors"), Error);
}

TEST_CASE("aesthetic: the head on the CLIP's unit vectors, bound early or late, with its gradient") {
  const Scratch scratch;
  const auto clip = tiny_clip(2);
  const AestheticHead head = AestheticHead::load(scratch.file(random_layers({6, 8, 1}, 6, at::kDouble)));
  const Tensor images = random_images(2, 8, 8, 7);
  AestheticReward late(head);
  CHECK(late.needs_clip());
  static_assert(RewardTraits<AestheticReward>::kTakesClip);
  CHECK_THROWS_WITH_AS(late.score({images, {}}), doctest::Contains("expected a CLIP, got none"), Error);
  reward_bind_clip(late, clip);
  const RewardResult result = late.score({images, {}});
  const Tensor features = clip->image_features(images);
  CHECK(relative_error(result.values, features.mv(head.weight()) + head.bias()) < 1e-12);
  CHECK(result.values.equal(AestheticReward(head, clip).score({images, {}}).values));
  CHECK(result.components.at("aesthetic").equal(result.values.detach()));
  const auto f = [&](const Tensor& x) { return late.score({x, {}}).values.sum(); };
  CHECK(relative_error(gradient(f, images), central_differences(f, images)) < 1e-6);
}

TEST_CASE("aesthetic: a CLIP of another width and a leak out of range are named") {
  const Scratch scratch;
  const AestheticHead head = AestheticHead::load(scratch.file(random_layers({7, 1}, 8)));
  CHECK_THROWS_WITH_AS(AestheticReward(head, tiny_clip(1)),
                       doctest::Contains("the head takes vectors of 7 numbers, the CLIP gives 6"), Error);
  CHECK_THROWS_WITH_AS(AestheticReward(head, nullptr, {.leak = 2}), doctest::Contains("leak must be in [0, 1], got 2"),
                       Error);
}

}  // namespace aesthetic_test
