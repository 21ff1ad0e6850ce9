// Exported rewards: TorchScript modules made here, and the packages that package_rewards/export.sh made, if it ran.
#include <doctest/doctest.h>

#include <ATen/Context.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/tensor.h>
#include <c10/core/Device.h>
#include <c10/core/InferenceMode.h>
#include <torch/autograd.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/types.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/rewards/package.hpp>

#include <tests/rewards/reward_checks.hpp>

namespace package_test {
namespace {

using namespace reward_tuner;
using namespace reward_checks;
namespace fs = std::filesystem;

std::string error(const auto& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}
bool says(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
  return true;
}

fs::path scratch(const std::string& name) {
  const fs::path folder = fs::temp_directory_path() / "reward_tuner_package_test";
  fs::create_directories(folder);
  return folder / name;
}

// package_rewards/judges.py
Tensor edges(const Tensor& images) {
  const Tensor kernel = at::arange(108, at::kDouble).sin().view({4, 3, 3, 3});
  const Tensor found = at::conv2d(images, kernel.to(images.scalar_type()), {}, 2).tanh();
  return found.flatten(1).pow(2).mean(1) + images.select(1, 0).mean({1, 2});
}
Tensor words(const Tensor& images, const Tensor& tokens) {
  const Tensor table = at::arange(30, at::kDouble).cos().view({10, 3}).to(images.scalar_type());
  return (images.pow(2).mean({2, 3}) * table.index_select(0, tokens.flatten()).view({-1, 4, 3}).mean(1)).sum(1);
}

/// Four tokens of a prompt: its first letters.
Tensor letters(const std::vector<std::string>& prompts) {
  std::vector<std::int64_t> ids;
  for (const std::string& prompt : prompts)
    for (std::size_t i = 0; i < 4; ++i) ids.push_back(i < prompt.size() ? prompt[i] % 10 : 0);
  return at::tensor(ids, at::kLong).view({-1, 4});
}

const std::vector<std::string> kPrompts = {"a cat", "two dogs", "", "red", "moon"};

RewardInput input(std::int64_t batch, std::int64_t height = 6, std::int64_t width = 8) {
  return {.images = random_images(batch, height, width, 3), .prompts = {kPrompts.begin(), kPrompts.begin() + batch}};
}

/// Scores and gradient of a loss that weighs images differently, against autograd through `expected`.
void check_gradient(const PackageReward& reward, const RewardInput& given, const auto& expected, double tolerance) {
  const Tensor weights = at::arange(1, given.images.size(0) + 1, at::kDouble);
  const auto loss = [&](const Tensor& values) { return (values.to(at::kDouble) * weights).square().sum(); };
  const Tensor own = gradient(
      [&](const Tensor& images) {
        RewardInput moved = given;
        moved.images = images;
        const RewardResult result = reward.score(moved);
        CHECK((result.values.scalar_type() == images.scalar_type()));
        return loss(result.values);
      },
      given.images);
  const Tensor theirs = gradient([&](const Tensor& images) { return loss(expected(images)); }, given.images);
  CHECK(relative_error(own, theirs) < tolerance);
}

fs::path script(const std::string& name, const std::string& body, bool is_buffer = false) {
  torch::jit::Module module("judge");
  module.register_parameter("weight", at::arange(3, at::kDouble) + 1, is_buffer);
  module.define(body);
  module.save(scratch(name).string());
  return scratch(name);
}

}  // namespace
}  // namespace package_test

using namespace package_test;

TEST_CASE("package: a TorchScript module, its gradient, and the sentence that it is deprecated") {
  std::vector<std::string> notes;
  const NoteScope scope([&](const std::string& text) { notes.push_back(text); });
  const fs::path file = script("weighted.pt", R"(
def forward(self, images):
    return (images.pow(2).mean([2, 3]) * self.weight).sum(1)
)");
  const PackageReward reward(file);
  REQUIRE(notes.size() == 1);
  says(notes[0], "weighted.pt is a TorchScript module: PyTorch has deprecated them");
  CHECK(reward.differentiable());
  const auto expected = [](const Tensor& x) {
    return (x.pow(2).mean({2, 3}) * (at::arange(3, at::kDouble) + 1)).sum(1);
  };
  for (const std::int64_t batch : {1, 3, 5}) {
    const RewardInput given = input(batch, 5 + batch, 7);  // any size
    CHECK((reward.score(given).values - expected(given.images)).abs().max().item<double>() < 1e-12);
    check_gradient(reward, given, expected, 1e-12);
  }
  RewardInput single = input(2);
  single.images = single.images.to(at::kFloat);
  CHECK((reward.score(single).values.scalar_type() == at::kFloat));

  const PackageReward with_tokens(script("tokens.pt", R"(
def forward(self, images, tokens):
    return images.mean([1, 2, 3]) * tokens.sum(1)
)"),
                                  letters);
  const RewardInput five = input(5);
  CHECK((with_tokens.score(five).values - five.images.mean({1, 2, 3}) * letters(kPrompts).sum(1))
            .abs()
            .max()
            .item<double>() < 1e-12);
  says(error([&] { PackageReward(file, letters); }), "weighted.pt reads 1 inputs: expected images and tokens");
  says(error([] { PackageReward(scratch("tokens.pt")); }), "tokens.pt reads 2 inputs: expected images alone");
}

TEST_CASE("package: bad files and bad answers are named") {
  const NoteScope scope([](const std::string&) {});
  says(error([] { PackageReward(scratch("none.pt2")); }), "[PackageReward] expected a file, got none at ");
  for (const std::string name : {"damaged.pt", "damaged.pt2", "damaged.onnx"}) {
    std::ofstream(scratch(name)) << "PK no archive";
    const std::string message = error([&] { PackageReward(scratch(name)); });
    says(message, name);
    says(message, name == "damaged.pt"    ? "expected a TorchScript module in"
                  : name == "damaged.pt2" ? "expected an AOTInductor package that this program can run in"
                                          : "expected a package NAME.pt2 or a TorchScript module NAME.pt, got");
    CHECK(message.find('\n') == std::string::npos);
  }
  const PackageReward matrix(script("matrix.pt", "def forward(self, images):\n    return images.mean([2, 3])\n"));
  says(error([&] { matrix.score(input(2)); }), "expected scores [2] from ");
  const PackageReward pair(script("pair.pt", "def forward(self, images):\n    return (images, images)\n"));
  says(error([&] { pair.score(input(2)); }), "got a Tuple");
  const PackageReward throws(script("throws.pt", "def forward(self, images):\n    return images.view([7]).sum(0)\n"));
  const std::string message = error([&] { throws.score(input(2)); });
  says(message, "throws.pt could not score images [2, 3, 6, 8]: ");
  CHECK(message.find('\n') == std::string::npos);
  const PackageReward words_of(script("words.pt", "def forward(self, images, t):\n    return images.mean([1, 2, 3])\n"),
                               [](const std::vector<std::string>&) { return at::rand({2, 4}); });
  says(error([&] { words_of.score(input(2)); }), "tokens expected int64 [2,L], got [2, 4]");
}

TEST_CASE("package: images of another device than a TorchScript module's are named") {
  const NoteScope scope([](const std::string&) {});
  const std::string body = "def forward(self, images):\n    return (images.mean([2, 3]) * self.weight).sum(1)\n";
  RewardInput elsewhere = input(2);
  elsewhere.images = elsewhere.images.to(at::kMeta);
  for (const bool is_buffer : {false, true}) {
    const fs::path file = script("placed.pt", body, is_buffer);
    const RewardInput given = input(2);
    const Tensor scores = PackageReward(file).score(given).values;
    CHECK(PackageReward(file, {}, at::kCPU).score(given).values.equal(scores));
    says(error([&] { PackageReward(file).score(elsewhere); }),
         "placed.pt runs on cpu: expected images there, got them on meta");
    const at::Device other(at::kCUDA, 0);
    if (!at::hasCUDA()) {
      says(error([&] { PackageReward(file, {}, other); }), "expected a TorchScript module in");
      continue;
    }
    const PackageReward moved(file, {}, other);
    says(error([&] { moved.score(given); }), "placed.pt runs on cuda:0: expected images there, got them on cpu");
    RewardInput there = given;
    there.images = given.images.to(other);
    CHECK((moved.score(there).values.cpu() - scores).abs().max().item<double>() < 1e-12);
  }
}

TEST_CASE("package: images of inference mode are scored as others") {
  const NoteScope scope([](const std::string&) {});
  const PackageReward reward(script("inference.pt", "def forward(self, images):\n    return images.mean([1, 2, 3])\n"));
  const RewardInput given = input(3);
  RewardInput made = given;
  {
    const c10::InferenceMode inference;
    made.images = given.images.clone();
    CHECK(reward.score(made).values.equal(given.images.mean({1, 2, 3})));
  }
  CHECK(reward.score(made).values.equal(given.images.mean({1, 2, 3})));
  check_gradient(reward, given, [](const Tensor& x) { return x.mean({1, 2, 3}); }, 1e-12);
}

TEST_CASE("package: AOTInductor packages score any number of images, with the gradient that they bring") {
  const char* folder = std::getenv("REWARD_TUNER_PACKAGES");
  if (folder == nullptr) {
    MESSAGE("left out: REWARD_TUNER_PACKAGES names no folder of tests/rewards/package_rewards/export.sh");
    return;
  }
  const fs::path packages(folder);
  {
    const PackageReward reward(packages / "words.pt2", letters);
    CHECK(reward.differentiable());
    for (const std::int64_t batch : {1, 2, 5}) {
      CAPTURE(batch);
      const RewardInput given = input(batch);
      const auto expected = [&](const Tensor& x) { return words(x, letters(given.prompts)); };
      CHECK((reward.score(given).values - expected(given.images)).abs().max().item<double>() < 1e-10);
      check_gradient(reward, given, expected, 1e-9);
    }
    says(error([&] { reward.score(input(2, 8, 6)); }), "was exported for images of 6x8, got 8x6");
    const PackageReward short_tokens(packages / "words.pt2", [](const std::vector<std::string>& prompts) {
      return letters(prompts).narrow(1, 0, 3);
    });
    says(error([&] { short_tokens.score(input(2)); }), "was exported for 4 tokens a prompt, got 3");
    says(error([&] { PackageReward(packages / "words.pt2"); }), "expected a function that makes them, got none");
    RewardInput elsewhere = input(2);
    elsewhere.images = elsewhere.images.to(at::kMeta);
    says(error([&] { PackageReward(packages / "edges.pt2").score(elsewhere); }),
         "runs on cpu: expected images there, got them on meta");
  }
  {
    const PackageReward reward(packages / "edges.pt2");  // float32, of images in double
    check_gradient(reward, input(4), edges, 1e-5);
    says(error([&] { PackageReward(packages / "edges.pt2", letters); }), "reads images alone");
    CHECK(PackageReward(packages / "edges.pt2", {}, at::kCPU)
              .score(input(2))
              .values.equal(reward.score(input(2)).values));
    says(error([&] { PackageReward(packages / "edges.pt2", {}, at::Device(at::kCUDA, 0)); }),
         "edges.pt2 was exported for cpu: expected that device, got cuda:0");
    RewardInput leaf = input(3);
    leaf.images.requires_grad_();
    const torch::NoGradGuard no_grad;
    CHECK_FALSE(reward.score(leaf).values.requires_grad());
  }
  {
    const AnyReward reward{PackageReward(packages / "black_box.pt2")};
    CHECK_FALSE(reward.differentiable());
    const RewardInput given = input(3, 6, 6);
    CHECK((reward.score(given).values - edges(given.images)).abs().max().item<double>() < 1e-5);
    RewardInput leaf = given;
    leaf.images = given.images.clone().requires_grad_();
    says(error([&] { PackageReward(packages / "black_box.pt2").score(leaf); }),
         "expected a package with a gradient, got ");
  }
}
