// One model for all who name its folder, as long as somebody holds it.
#include <doctest/doctest.h>

#include <c10/core/Device.h>

#include <filesystem>
#include <memory>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/shared_model.hpp>

namespace shared_model_test {
namespace {

using namespace reward_tuner;

/// Knows where it was put.
struct Toy {
  static std::shared_ptr<Toy> load(const std::filesystem::path&) { return std::make_shared<Toy>(); }
  void to(at::Device device) { place = device; }
  at::Device place = at::kMeta;
};

}  // namespace

TEST_CASE("shared model: one by any path to the folder, another when nobody holds it") {
  const std::filesystem::path folder = std::filesystem::path(REWARD_TUNER_TEST_DATA) / "clip";
  std::shared_ptr<const ClipModel> first = shared_model<ClipModel>(folder);
  CHECK(shared_model<ClipModel>(folder) == first);
  CHECK(shared_model<ClipModel>(folder / ".." / "clip") == first);
  const std::weak_ptr<const ClipModel> watched = first;
  first.reset();
  CHECK(watched.expired());
  CHECK(shared_model<ClipModel>(folder) != nullptr);
  CHECK_THROWS_AS(shared_model<ClipModel>(folder / "nowhere"), Error);
}

TEST_CASE("shared model: one on a device, whether or not its number is said, and another elsewhere") {
  const auto first = shared_model<Toy>("a", at::Device("cpu"));
  CHECK(shared_model<Toy>("a", at::Device("cpu:0")) == first);
  CHECK(shared_model<Toy>("b") != first);
  const auto other = shared_model<Toy>("a", at::kMeta);
  CHECK(other != first);
  CHECK(other->place.is_meta());
  CHECK(first->place.is_cpu());
}

}  // namespace shared_model_test
