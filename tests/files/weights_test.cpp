// load_weights and state_dict: strict names and shapes, dtype conversion, all or nothing.
#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/models/layers.hpp>

using namespace reward_tuner;

namespace weights_test {
namespace {

struct Net : torch::nn::Module {
  std::shared_ptr<Linear> first, second;
  Tensor count;
  Net() {
    first = register_module("first", std::make_shared<Linear>(3, 2));
    second = register_module("second", std::make_shared<Linear>(2, 2, false));
    count = register_buffer("count", at::zeros({1}, at::kLong));
  }
};

struct File {
  std::filesystem::path path;
  explicit File(const std::map<std::string, Tensor>& tensors)
      : path(std::filesystem::temp_directory_path() /
             ("reward_tuner_weights_" + std::to_string(::getpid()) + ".safetensors")) {
    save_safetensors(path, tensors);
  }
  ~File() { std::filesystem::remove(path); }
  SafetensorsFile open() const { return SafetensorsFile::open(path); }
};

std::map<std::string, Tensor> good() {
  return {{"first.weight", at::rand({2, 3})},
          {"first.bias", at::rand({2})},
          {"second.weight", at::rand({2, 2})},
          {"count", at::arange(7, 8)}};
}

}  // namespace

TEST_CASE("weights: parameters and buffers are filled; state_dict saves the same file again") {
  Net net;
  const auto want = good();
  load_weights(net, File(want).open());
  const auto state = state_dict(net);
  REQUIRE(state.size() == want.size());
  for (const auto& [name, tensor] : want) CHECK(state.at(name).equal(tensor));
  CHECK(net.first->weight.requires_grad());
  CHECK_FALSE(state.at("first.weight").requires_grad());
  CHECK(net.count.item<std::int64_t>() == 7);
}

TEST_CASE("weights: floating-point values are converted to the module's dtype") {
  auto tensors = good();
  tensors["first.weight"] = tensors["first.weight"].to(at::kHalf);
  tensors["first.bias"] = tensors["first.bias"].to(at::kBFloat16);
  Net net;
  net.first->to(at::kDouble);
  load_weights(net, File(tensors).open());
  CHECK((net.first->weight.scalar_type() == at::kDouble));
  CHECK(net.first->weight.equal(tensors["first.weight"].to(at::kDouble)));
  CHECK(net.first->bias.equal(tensors["first.bias"].to(at::kDouble)));
}

TEST_CASE("weights: the network does not keep the file mapped nor follow it") {
  Net net;
  const auto want = good();
  {
    const File file(want);
    load_weights(net, file.open());
  }
  const torch::NoGradGuard no_grad;
  net.first->weight.add_(1);
  CHECK(net.first->weight.equal(want.at("first.weight") + 1));
}

TEST_CASE("weights: missing, unexpected and wrong names are listed with shapes, and nothing is copied") {
  auto tensors = good();
  tensors.erase("second.weight");
  tensors["third.weight"] = at::rand({1});
  tensors["first.weight"] = at::rand({3, 2});
  tensors["count"] = at::rand({1});
  Net net;
  const torch::NoGradGuard no_grad;
  net.first->bias.fill_(5);
  try {
    load_weights(net, File(tensors).open());
    FAIL("expected an error");
  } catch (const Error& error) {
    const std::string text = error.what();
    CAPTURE(text);
    CHECK(text.find("1 missing: 'second.weight'") != std::string::npos);
    CHECK(text.find("1 unexpected: 'third.weight'") != std::string::npos);
    CHECK(text.find("1 of the wrong shape: 'first.weight' (found [3,2], expected [2,3])") != std::string::npos);
    CHECK(text.find("1 of the wrong type: 'count' (found Float, expected Long)") != std::string::npos);
  }
  CHECK(net.first->bias.equal(at::ones({2}) * 5));
}

TEST_CASE("weights: long lists show five names") {
  auto tensors = good();
  for (int i = 0; i < 9; ++i) tensors["extra" + std::to_string(i)] = at::rand({1});
  Net net;
  CHECK_THROWS_WITH_AS(load_weights(net, File(tensors).open()),
                       doctest::Contains("9 unexpected: 'extra0', 'extra1', 'extra2', 'extra3', 'extra4', ..."), Error);
}

TEST_CASE("weights: rename maps keys, an empty name skips, two keys for one name are an error") {
  std::map<std::string, Tensor> tensors;
  const auto want = good();
  for (const auto& [name, tensor] : want) tensors["model." + name] = tensor;
  tensors["optimizer"] = at::rand({9});
  const LoadOptions options{
      .rename = [](std::string key) { return key.substr(key.size() < 6 || key == "optimizer" ? key.size() : 6); }};
  Net net;
  load_weights(net, File(tensors).open(), options);
  CHECK(net.second->weight.equal(want.at("second.weight")));
  tensors["MODEL.count"] = at::arange(1);
  CHECK_THROWS_WITH_AS(load_weights(net, File(tensors).open(), options), doctest::Contains("both mean 'count'"), Error);
}

}  // namespace weights_test
