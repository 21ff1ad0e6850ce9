// WeightsSource: tensors of several files under new names and as views, without reading before they are asked for.
#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights_source.hpp>

#include <tests/reference/test_folder.hpp>

using namespace reward_tuner;

namespace weights_source_test {

TEST_CASE("weights source: a file is the source of all its tensors") {
  const io_test::Folder folder;
  const Tensor x = at::rand({2, 3});
  save_safetensors(folder.path / "a.safetensors", {{"x", x}, {"count", at::arange(4)}});
  const WeightsSource source = SafetensorsFile::open(folder.path / "a.safetensors");
  CHECK((source.names() == std::vector<std::string>{"count", "x"}));
  CHECK((source.shape("x") == std::vector<std::int64_t>{2, 3}));
  CHECK((source.dtype("count") == at::kLong));
  CHECK(source.tensor("x").equal(x));
  CHECK(source.where() == "'" + (folder.path / "a.safetensors").string() + "'");
}

TEST_CASE("weights source: parts of several files get other names, shapes and order of elements") {
  const io_test::Folder folder;
  const Tensor fused = at::rand({6, 2}), half = at::rand({3, 4}).to(at::kHalf);
  save_safetensors(folder.path / "a.safetensors", {{"in_proj", fused}, {"other", at::ones({1})}});
  save_safetensors(folder.path / "b.safetensors", {{"projection", half}});
  WeightsSource source("the text encoder");
  {
    const auto a = SafetensorsFile::open(folder.path / "a.safetensors");
    const auto b = SafetensorsFile::open(folder.path / "b.safetensors");
    for (const int i : {0, 1, 2})
      source.add("qkv"[i] + std::string("_proj"), a, "in_proj",
                 [i](const Tensor& stored) { return stored.narrow(0, 2 * i, 2); });
    source.add("projection", b, "projection", [](const Tensor& stored) { return stored.t(); });
  }
  CHECK((source.names() == std::vector<std::string>{"k_proj", "projection", "q_proj", "v_proj"}));
  CHECK((source.shape("v_proj") == std::vector<std::int64_t>{2, 2}));
  CHECK((source.shape("projection") == std::vector<std::int64_t>{4, 3}));
  CHECK((source.dtype("projection") == at::kHalf));
  CHECK(source.tensor("v_proj").equal(fused.narrow(0, 4, 2)));
  CHECK(source.tensor("projection").equal(half.t()));
  CHECK(source.where() == "the text encoder");
}

TEST_CASE("weights source: a copy has the target's type, layout and values") {
  const io_test::Folder folder;
  const Tensor x = at::rand({3, 4});
  save_safetensors(folder / "a.safetensors", {{"x", x}});
  WeightsSource source("a");
  const auto file = SafetensorsFile::open(folder / "a.safetensors");
  source.add(file);
  source.add("turned", file, "x", [](const Tensor& stored) { return stored.t(); });
  for (const at::ScalarType type : {at::kFloat, at::kHalf, at::kDouble}) {
    const Tensor same = at::zeros({3, 4}, type), turned = at::zeros({4, 3}, type),
                 strided = at::zeros({4, 3}, type).t();
    source.copy("x", same);
    source.copy("turned", turned);
    source.copy("x", strided);
    CHECK(same.equal(x.to(type)));
    CHECK(turned.equal(x.t().to(type)));
    CHECK(strided.equal(x.to(type)));
  }
}

TEST_CASE("weights source: a name that is there already, a key that is not, and an unknown name are errors") {
  const io_test::Folder folder;
  save_safetensors(folder.path / "a.safetensors", {{"x", at::ones({1})}});
  save_safetensors(folder.path / "b.safetensors", {{"x", at::ones({1})}, {"y", at::ones({1})}});
  const auto b = SafetensorsFile::open(folder.path / "b.safetensors");
  WeightsSource source("the UNet");
  source.add("x", SafetensorsFile::open(folder.path / "a.safetensors"), "x");
  const std::string twice = "[Weights] the UNet: expected one tensor 'x', got two: 'x' of '" +
                            (folder.path / "a.safetensors").string() + "' and 'y' of '" + b.path() + "'";
  CHECK_THROWS_WITH_AS(source.add("x", b, "y"), doctest::Contains(twice.c_str()), Error);
  CHECK_THROWS_WITH_AS(source.add("z", b, "z"), doctest::Contains("has no tensor 'z'"), Error);
  CHECK_THROWS_WITH_AS(source.tensor("y"), doctest::Contains("the UNet: expected a tensor 'y', got none among its 1"),
                       Error);
  CHECK_THROWS_AS(source.shape("y"), Error);
}

}  // namespace weights_source_test
